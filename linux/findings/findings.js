/**
 * The findings of docs/findings.md that a real kernel can show, each as a schedule that init.c executes. The times are far
 * apart, so the state of each call and the order of calls do not depend on the speed of the machine.
 */
/** @import { Finding, Outcome } from './findings.js' */

/** OP-TEE's test TAs: TEE_Wait, and a TA that waits for a plugin of the supplicant. */
const osTest = '5b9e0e40263611e1ad9e0002a5d5c51b';
const pluginTest = '380231acfb9947ada6899e017eb6e78a';
const wait = (milliseconds) => `invoke 9 ${milliseconds}`;
/** Longest duration of a call that is not blocked, on a slow machine, in milliseconds. */
const promptMs = 700;

/** @type {readonly Finding[]} */
export const findings = [
  {
    id: '1',
    title: 'a system call sleeps although a thread is free',
    cured: true,
    schedule: `
caller normal user ${osTest}
caller inside kernel ${osTest}
caller late kernel ${osTest}
system inside
system late
at 0 normal ${wait(2000)}
at 300 inside ${wait(6000)}
at 800 late ${wait(1)}
snapshot 4000
end 8000`,
    judge: ({ of }) => lateness(of('late'), of('normal').end, of('inside').end),
  },
  {
    id: '1-deadlock',
    title: 'two system calls that need each other deadlock although a thread is free',
    cured: true,
    schedule: `
caller normal user ${osTest}
caller inside kernel ${pluginTest}
caller late kernel ${osTest}
system inside
system late
go-when-done late
at 0 normal ${wait(2000)}
at 300 inside update 0 0
at 800 late ${wait(1)}
end 8000`,
    judge: ({ of }) => ({
      shown: of('normal').end !== undefined && of('late').end === undefined && of('inside').end === undefined,
      measure: whetherBack([of('inside'), of('late')]),
    }),
  },
  {
    id: '2',
    title: 'a wake-up is lost on a call that is inside',
    cured: true,
    schedule: `
caller long user ${osTest}
caller medium user ${osTest}
caller short user ${osTest}
at 0 long ${wait(6000)}
at 300 medium ${wait(1500)}
at 800 short ${wait(1)}
snapshot 4000
end 7500`,
    judge: ({ of }) => lateness(of('short'), of('medium').end, of('long').end),
  },
  {
    id: '3',
    title: 'calls sleep for good when secure world has one thread fewer than announced',
    cured: true,
    schedule: oneThreadShort('end 8000'),
    judge: ({ of }) => ({
      shown: of('first').end === undefined && of('second').end === undefined && of('system', 1).end !== undefined,
      measure: whetherBack([of('first'), of('second')]),
    }),
  },
  {
    id: '7',
    title: 'a caller is overtaken as long as another repeats',
    cured: true,
    schedule: `
caller holder user ${osTest} cpu 1
caller repeater user ${osTest} cpu 0 fifo 50
caller sleeper user ${osTest} cpu 0
at 0 holder ${wait(7000)}
at 500 repeater repeat 150 9 20
at 1500 sleeper ${wait(1)}
snapshot 3000
end 9000`,
    judge: ({ of }) => lateness(of('sleeper'), of('sleeper').begin, of('repeater').end),
  },
  {
    id: '10',
    title: 'a reservation made during traffic comes too late for the calls that are inside',
    cured: false,
    schedule: `
caller first user ${osTest}
caller second user ${osTest}
caller system kernel ${osTest}
at 0 first ${wait(5000)}
at 300 second ${wait(5000)}
at 1000 system system
at 1500 system ${wait(1)}
snapshot 3000
end 6500`,
    judge: ({ of }) => lateness(of('system', 1), of('system', 1).begin, of('first').end),
  },
  {
    id: '11',
    title: 'with one thread lost, calls return only when another client calls',
    cured: true,
    schedule: oneThreadShort(`at 7000 system repeat 20 9 1\nend 11000`),
    judge: ({ of }) => lateness(of('second'), of('system', 1).end, of('system', 2).begin),
  },
  {
    id: '12',
    title: 'memory for a system session is registered by a call that waits like an ordinary call',
    cured: false,
    schedule: `
caller normal user ${osTest}
caller system kernel ${osTest}
caller prompt kernel ${osTest}
system system
system prompt
at 0 normal ${wait(5000)}
at 800 system allocate 65536
at 1600 prompt ${wait(1)}
snapshot 3000
end 6500`,
    judge: ({ of }) => lateness(of('system'), of('system').begin, of('normal').end),
  },
  {
    id: 'bottom-half',
    title: 'the bottom half of an asynchronous notification finds no thread',
    cured: false,
    schedule: `
caller first user ${osTest}
caller second user ${osTest}
at 0 console
at 1000 first ${wait(5000)}
at 1300 second ${wait(5000)}
at 2500 console
snapshot 4000
end 8000`,
    judge: ({ of, answers: [before, during] }) => ({
      shown: before !== undefined && before < promptMs && (during ?? 0) > 2000 && of('first').end !== undefined,
      measure: `${ms(during)} until OP-TEE read its console, with both threads held; ${ms(before)} with both free`,
    }),
  },
  {
    id: 'cancellation',
    title: 'a cancellation finds no thread',
    cured: false,
    schedule: `
caller first user ${osTest}
caller second user ${osTest}
caller canceller user ${osTest}
at 0 first ${wait(5000)}
at 300 second ${wait(5000)}
at 1500 canceller cancel first
snapshot 3000
end 6500`,
    judge: ({ of }) => lateness(of('canceller'), of('canceller').begin, of('first').end),
  },
  {
    id: 'probe',
    title: 'with one thread lost before it, the probe waits for ever',
    cured: false,
    schedule: `
without-driver
take-thread
at 0 load
end 6000`,
    judge: ({ of }) => ({
      shown: of('load').end === undefined,
      measure: whetherBack([of('load')]),
    }),
  },
];

/** Findings that no real kernel can show here, with the reason. */
export const notShown = [
  ['4, 5, 6', 'version 6 of the patch series was never merged: no kernel has it'],
  ['8', "needs three threads and calls of trusted applications that need each other; Debian's OP-TEE has two threads"],
  ['9', 'needs an OP-TEE with one thread; the refusal is in optee_cq_incr_sys_thread_count()'],
  [
    'leaked reservation',
    'a session that cannot be closed because memory is short keeps its reservation; Debian builds its kernels without fault injection',
  ],
];

/**
 * One thread is lost for good. A second one is unavailable for a moment, so a call that has claimed a thread is refused. A
 * sleeper that has been completed is delayed before it moves to the tail of the list, so another completion is lost.
 */
function oneThreadShort(ending) {
  return `
caller first user ${osTest} cpu 1
caller second user ${osTest} cpu 0
caller system kernel ${osTest} cpu 0
system system
take-thread
at 0 delay first 4000
at 300 system ${wait(1000)}
at 700 first ${wait(1)}
at 1800 take-thread
at 2100 second ${wait(1)}
at 2500 return-thread
at 2800 system ${wait(300)}
${ending}`;
}

/** Judges a call that could have continued at `possible`, but did only at `obstacle`. */
function lateness(call, possible, obstacle) {
  if (possible === undefined)
    return { shown: false, measure: 'nothing: the call that should have ended first did not end' };
  const late = call.end === undefined ? undefined : call.end - possible;
  return {
    shown: obstacle !== undefined && (call.end === undefined || (late > promptMs && call.end >= obstacle - promptMs)),
    measure: late === undefined ? `not returned, and could have continued at ${ms(possible)}` : `${ms(late)} late`,
  };
}

function whetherBack(calls) {
  const back = calls.filter(({ end }) => end !== undefined);
  if (back.length === 0) return calls.length === 1 ? 'not returned at the end' : 'neither has returned at the end';
  const times = back.map(({ begin, end }) => ms(end - begin)).join(' and ');
  if (back.length === calls.length) return `returned after ${times}`;
  return `one has not returned at the end, the other after ${times}`;
}

function ms(milliseconds) {
  return milliseconds === undefined ? 'never' : `${Math.round(milliseconds)} ms`;
}
