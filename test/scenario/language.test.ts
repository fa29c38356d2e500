import { describe, expect, it } from 'vitest';
import type { DisciplineName } from '../../src/optee/call-queue/call-queue.js';
import { parseScenario, ScenarioFileError } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';

/** One run of a scenario. */
async function runOf(text: string, queue: DisciplineName = 'linux-6.8', seed = 1, set = {}) {
  const { runs } = await runScenario(parseScenario(`title: t\n${text}`, 't.yaml', set), { queues: [queue], seed });
  const [run] = runs;
  if (run === undefined) throw new Error('no run');
  return {
    ...run,
    words: run.explanation.join('\n'),
    of: (name: string) => run.clients.find((client) => client.name === name),
  };
}

/** What is wrong with a file, in lines. */
function problems(text: string): string {
  try {
    parseScenario(`title: t\n${text}`, 't.yaml');
    return '';
  } catch (error) {
    if (!(error instanceof ScenarioFileError)) throw error;
    return error.message;
  }
}

const quick = 'applications: { ta: { kind: pseudo, concurrent: true, commands: { go: [{ compute: 1ms }] } } }';

describe('locks of the normal world', () => {
  const ring = `
secureWorld: { threads: 1 }
locks: { clk: {} }
applications:
  storage: { kind: pseudo, concurrent: true, commands: { write: [{ compute: 1ms }, { rpc: rpmb }] } }
  scmi: { kind: pseudo, concurrent: true, commands: { on: [{ compute: 50us }] } }
services: { rpmb: { steps: [{ hold: { lock: clk, steps: [{ wait: 1ms }] } }] } }
clients:
  storage: { application: storage, steps: [{ invoke: write }] }
  display: { application: scmi, kernel: true, START steps: [{ hold: { lock: clk, steps: [{ invoke: on }] } }] }
`;

  it('close a cycle of calls that no RPC of the TEE shows', async () => {
    const { outcome, words, hangsSince } = await runOf(ring.replace('START', 'start: 500us,'));
    expect(outcome).toBe('deadlock');
    expect(hangsSince).toBe(1);
    expect(words).toMatch(
      /\(display, on\) sleeps because no thread is free[\s\S]*its RPMB RPC waits for lock clk, which display holds/,
    );
  });

  it('are released when their holder is done', async () => {
    expect((await runOf(ring.replace('START', 'start: 5ms,'))).outcome).toBe('finished');
  });

  const crossed = (second: string) => `
locks: { one: {}, two: {} }
${quick}
clients:
  a: { application: ta, steps: [{ hold: { lock: one, steps: [{ wait: 1ms }, { hold: { lock: two, steps: [{ invoke: go }] } }] } }] }
  b: { application: ta, steps: [{ hold: { lock: ${second}, steps: [{ wait: 1ms }, { hold: { lock: ${second === 'two' ? 'one' : 'two'}, steps: [{ invoke: go }] } }] } }] }
`;

  it('deadlock outside of OP-TEE if they are taken in different orders, and the report says so', async () => {
    const { outcome, words } = await runOf(crossed('two'));
    expect(outcome).toBe('deadlock');
    expect(words).toMatch(
      /^A and b wait for each other, for ever, outside of OP-TEE:\n {2}a waits for lock two, which b holds/,
    );
    expect(words).toContain('no queue and no system session helps');
    expect((await runOf(crossed('one'))).outcome).toBe('finished');
  });

  it('may be taken again by their holder only if they are reentrant', async () => {
    const again = (lock: string) => `
locks: { clk: ${lock} }
${quick}
clients: { a: { application: ta, steps: [{ hold: { lock: clk, steps: [{ hold: { lock: clk, steps: [{ invoke: go }] } }] } }] } }
`;
    expect((await runOf(again('{ reentrant: true }'))).outcome).toBe('finished');
    const { outcome, words } = await runOf(again('{}'));
    expect(outcome).toBe('deadlock');
    expect(words).toContain('A waits for itself');
  });

  it('block calls if the holder never returns', async () => {
    const { outcome, words } = await runOf(`
locks: { tpm: {} }
applications: { ftpm: { kind: user, commands: { extend: [{ rpc: fs }] } } }
services: { fs: { steps: [{ never: true }] } }
clients:
  ima: { application: ftpm, steps: [{ hold: { lock: tpm, steps: [{ invoke: extend }] } }] }
  user: { application: ftpm, start: 1ms, steps: [{ hold: { lock: tpm, steps: [{ invoke: extend }] } }] }
`);
    expect(outcome).toBe('stuck');
    expect(words).toMatch(
      /its FS RPC is never answered[\s\S]*User waits for lock tpm since 1 ms, behind call \d+ \(ima, extend\)/,
    );
  });

  it('are held by the eMMC for an access, and for what it switches', async () => {
    const card = (more: string) => `
secureWorld: { threads: 2 }
locks: { claim: {}, clk: { reentrant: true } }
applications: { storage: { use: rpmb-storage }, scmi: { use: scmi, clocks: [emmc-clock] } }
emmc: { rpmb: kernel, access: 1ms, needs: [emmc-clock], agent: scmi, claim: claim, switching: clk }
clients:
  storage: { application: storage, repeat: 3, steps: [{ invoke: write }] }
  scmi: { application: scmi, kernel: true, passive: true }
${more}`;
    const alone = await runOf(card(''));
    expect(alone.outcome).toBe('finished');
    const beside = await runOf(
      card('  block: { steps: [{ hold: { lock: claim, steps: [{ wait: 50ms }] } }], application: scmi, kernel: true }'),
    );
    expect(beside.outcome).toBe('finished');
    expect(beside.duration).toBeGreaterThan(50);
    expect(alone.duration).toBeLessThan(30);
  });

  it('belong to the task of a call that is served in the kernel: it may hold a lock that the eMMC takes again', async () => {
    const nested = (lock: string) => `
locks: { clk: ${lock} }
applications: { storage: { use: rpmb-storage }, scmi: { use: scmi, clocks: [c] } }
emmc: { rpmb: kernel, needs: [c], agent: scmi, switching: clk }
clients:
  probe: { application: storage, kernel: true, steps: [{ hold: { lock: clk, steps: [{ invoke: write }] } }] }
  scmi: { application: scmi, kernel: true, passive: true }
`;
    expect((await runOf(nested('{ reentrant: true }'))).outcome).toBe('finished');
    const { outcome, words } = await runOf(nested('{}'));
    expect(outcome).toBe('deadlock');
    expect(words).toContain('waits for itself, for ever');
    expect(words).toContain('neither another queue nor a system session helps');
  });
});

describe('applications that call others, and mutexes of secure world', () => {
  const order = (second: readonly [string, string]) => `
secureWorld: { threads: 4 }
locks: { a: { world: secure }, b: { world: secure } }
applications:
  one: { kind: user, commands: { go: [{ hold: { lock: a, steps: [{ compute: 1ms }, { hold: { lock: b, steps: [{ compute: 1ms }] } }] } }] } }
  two: { kind: user, commands: { go: [{ hold: { lock: ${second[0]}, steps: [{ compute: 1ms }, { hold: { lock: ${second[1]}, steps: [{ compute: 1ms }] } }] } }] } }
clients: { one: { application: one, steps: [{ invoke: go }] }, two: { application: two, steps: [{ invoke: go }] } }
`;

  it('deadlock if mutexes are taken in different orders, under any queue', async () => {
    for (const queue of ['linux-6.7', 'hand-off'] as const) {
      const { outcome, words } = await runOf(order(['b', 'a']), queue);
      expect(outcome).toBe('deadlock');
      expect(words).toMatch(/asleep in OP-TEE for mutex [ab], which call \d+ holds/);
      expect(words).toContain('neither another queue nor a system session helps');
    }
    expect((await runOf(order(['a', 'b']))).outcome).toBe('finished');
  });

  it('return the result of the other application, on the thread of the caller', async () => {
    const run = await runOf(`
secureWorld: { threads: 2 }
applications:
  outer: { kind: user, commands: { go: [{ compute: 1ms }, { invoke: { application: inner, command: work } }, { compute: 1ms }, { invoke: { application: inner, command: work } }] } }
  inner: { kind: user, commands: { work: [{ compute: 2ms }, { rpc: fs }] } }
services: { fs: { steps: [{ wait: 3ms }] } }
clients: { app: { application: outer, count: 2, repeat: 2, steps: [{ invoke: go }] } }
`);
    expect(run.outcome).toBe('finished');
    expect(run.of('app')).toMatchObject({ calls: 4, p50: 12, max: 12, failed: 0 });
  });

  it('fail if the called application panics', async () => {
    const run = await runOf(`
applications:
  outer: { kind: user, commands: { go: [{ invoke: { application: inner, command: work } }] } }
  inner: { kind: user, commands: { work: [{ compute: 1ms }] } }
clients: { app: { application: outer, steps: [{ invoke: go }] } }
faults: { panics: [{ application: inner, command: work, nth: 1 }] }
`);
    expect(run.words).toContain('1 call of app failed with TEEC_ERROR_TARGET_DEAD');
  });

  it('show in the report which single-instance application another waits for', async () => {
    const { outcome, words } = await runOf(`
secureWorld: { threads: 4 }
applications:
  a: { kind: user, singleInstance: true, multiSession: true, commands: { go: [{ rpc: fs }] } }
  b: { kind: user, singleInstance: true, multiSession: true, commands: { go: [{ compute: 1ms }] } }
  outer: { kind: user, commands: { go: [{ invoke: { application: b, command: go } }] } }
services: { fs: { steps: [{ never: true }] } }
clients: { one: { application: a, steps: [{ invoke: go }] }, two: { application: outer, start: 1ms, steps: [{ invoke: go }] } }
`);
    expect(outcome).toBe('stuck');
    expect(words).toContain('its FS RPC is never answered');
    expect(words).toContain('1 more call waits with it.');
  });
});

describe('clients', () => {
  it('use several applications', async () => {
    const run = await runOf(`
applications:
  a: { kind: user, commands: { go: [{ compute: 1ms }] } }
  b: { kind: user, commands: { stay: [{ compute: 4ms }] } }
clients: { app: { applications: [a, b], repeat: 2, steps: [{ invoke: go }, { invoke: { application: b, command: stay } }] } }
`);
    expect(run.of('app')).toMatchObject({ calls: 4, max: 4 });
    expect(run.duration).toBe(10);
  });

  it('start with a stagger, and can wait until a time', async () => {
    const run = await runOf(`${quick}
secureWorld: { threads: 8 }
clients: { app: { application: ta, count: 4, start: 2ms, stagger: 10ms, steps: [{ until: 40ms }, { invoke: go }] } }
`);
    expect(run.duration).toBe(41);
    const staggered = await runOf(`${quick}
clients: { app: { application: ta, count: 4, start: 2ms, stagger: 10ms, steps: [{ invoke: go }] } }
`);
    expect(staggered.duration).toBe(33);
    expect(staggered.of('app')?.max).toBe(1);
  });

  const patience = (threads: number, cancellable: boolean) => `
secureWorld: { threads: ${threads} }
applications: { ta: { kind: user, cancellable: ${cancellable}, commands: { wait: [{ wait: 10ms }, { wait: 10ms }, { wait: 10ms }, { wait: 10ms }] } } }
clients: { app: { application: ta, timeout: 15ms, repeat: 2, steps: [{ invoke: wait }] } }
`;

  it('cancel calls that take too long, and continue', async () => {
    const run = await runOf(patience(2, true));
    expect(run.outcome).toBe('finished');
    expect(run.of('app')).toMatchObject({ calls: 2, max: 20, failed: 2 });
    expect(run.words).toContain('2 calls of app failed with TEEC_ERROR_CANCEL');
  });

  it('cannot cancel a call that masks cancellation, or if no thread is left for the cancellation', async () => {
    expect((await runOf(patience(2, false))).of('app')).toMatchObject({ calls: 2, max: 40, failed: 0 });
    const [once] = (await runOf(patience(1, true).replace('repeat: 2', 'repeat: 1'))).clients;
    expect(once).toMatchObject({ calls: 1, max: 40, failed: 0 });
  });
});

describe('the supplicant as a process', () => {
  const asked = (supplicant: string, step = '{ wait: 10ms }') => `
secureWorld: { threads: 4 }
supplicant: ${supplicant}
applications: { ta: { kind: user, commands: { go: [{ rpc: fs }] } } }
services: { fs: { steps: [${step}] } }
clients: { app: { application: ta, count: 4, steps: [{ invoke: go }] } }
`;

  it('serves as many concurrent requests as it has threads', async () => {
    expect((await runOf(asked('{}'))).duration).toBe(10);
    expect((await runOf(asked('{ threads: 2 }'))).duration).toBe(20);
    expect((await runOf(asked('{ threads: 1 }'))).duration).toBe(40);
  });

  it('with one thread deadlocks if it needs OP-TEE to answer', async () => {
    const { outcome, words } = await runOf(`
secureWorld: { threads: 4 }
supplicant: { threads: 1 }
applications:
  ta: { kind: user, commands: { go: [{ rpc: fs }] } }
  tpm: { kind: user, commands: { extend: [{ rpc: plugin }] } }
services:
  fs: { steps: [{ invoke: { client: ima, command: extend } }] }
  plugin: { steps: [{ wait: 1ms }] }
clients:
  app: { application: ta, steps: [{ invoke: go }] }
  ima: { application: tpm, kernel: true, passive: true }
`);
    expect(outcome).toBe('deadlock');
    expect(words).toMatch(/waits for a thread of the supplicant, whose only one is at call \d+/);
  });

  it('needs time for images and memory', async () => {
    const load = (supplicant: string) => `
supplicant: ${supplicant}
applications: { ta: { kind: user, commands: { go: [{ compute: 1ms }] } } }
clients: { app: { application: ta, session: each-round, repeat: 2, steps: [{ invoke: go }] } }
`;
    expect((await runOf(load('{}'))).duration).toBe(2);
    expect((await runOf(load('{ loadTa: 10ms }'))).duration).toBeGreaterThanOrEqual(22);
    expect((await runOf(load('{ allocate: 10ms }'))).duration).toBeGreaterThanOrEqual(22);
  });

  it('detaches and attaches as often as the file says', async () => {
    const { words } = await runOf(`
applications: { ta: { kind: user, commands: { go: [{ rpc: fs }] } } }
services: { fs: { steps: [{ wait: 1ms }] } }
clients: { app: { application: ta, count: 2, session: each-round, repeat: 30, steps: [{ invoke: go }, { wait: 1ms }] } }
faults: { supplicant: [{ leaves: 5ms, returns: 10ms }, { leaves: 20ms, returns: 25ms }] }
`);
    expect(words).toContain('The supplicant exited at 5 ms and restarted at 10 ms.');
    expect(words).toContain('The supplicant exited at 20 ms and restarted at 25 ms.');
  });
});

describe('a suspend', () => {
  const suspended = (suspend: string) => `
secureWorld: { threads: 2 }
applications:
  ta: { kind: user, commands: { go: [{ compute: 1ms }, { rpc: fs }] } }
  rng: { kind: pseudo, concurrent: true, commands: { read: [{ compute: 1ms }] } }
services: { fs: { steps: [{ wait: 2ms }] } }
clients:
  app: { application: ta, repeat: 3, steps: [{ invoke: go }] }
  hwrng: { application: rng, kernel: true, repeat: 10, every: 2ms, steps: [{ invoke: read }] }
faults: { suspend: [${suspend}] }
`;

  it('freezes user space until it resumes, but not the kernel', async () => {
    const run = await runOf(suspended('{ at: 2ms, resumes: 100ms }'));
    expect(run.outcome).toBe('finished');
    expect(run.of('hwrng')?.max).toBe(1);
    expect(run.of('app')?.max).toBeGreaterThan(95);
    expect(run.words).toContain('The system suspended at 2 ms and resumed at 100 ms.');
  });

  it('that does not resume leaves calls stuck in requests to the supplicant', async () => {
    const { outcome, words } = await runOf(suspended('{ at: 2ms }'));
    expect(outcome).toBe('stuck');
    expect(words).toContain('its FS RPC waits for the supplicant, which is frozen');
    expect(words).toContain('The system suspended at 2 ms, and did not resume.');
  });
});

describe('processors', () => {
  const busy = (cpus: string, priorities: readonly [number, number]) => `
${cpus}
secureWorld: { threads: 4 }
applications: { ta: { kind: user, commands: { go: [{ compute: 10ms }] } } }
clients:
  one: { application: ta, priority: ${priorities[0]}, steps: [{ invoke: go }] }
  two: { application: ta, priority: ${priorities[1]}, steps: [{ invoke: go }] }
`;

  it('are shared by computing calls', async () => {
    expect((await runOf(busy('', [0, 0]))).duration).toBe(10);
    expect((await runOf(busy('cpus: 2', [0, 0]))).duration).toBe(10);
    const shared = await runOf(busy('cpus: 1', [0, 0]));
    expect(shared.duration).toBe(20);
    expect(shared.of('one')?.max).toBeGreaterThan(18);
  });

  it('are given to the higher priority', async () => {
    const run = await runOf(busy('cpus: 1', [0, 50]));
    expect(run.of('two')?.max).toBeLessThanOrEqual(11);
    expect(run.of('one')?.max).toBe(20);
  });

  it('are also used by work in the normal world: a thread is held while its call has no processor', async () => {
    const run = await runOf(`
cpus: 1
secureWorld: { threads: 1 }
applications: { ta: { kind: pseudo, concurrent: true, commands: { go: [{ compute: 5ms }] } } }
clients:
  low: { application: ta, steps: [{ invoke: go }] }
  medium: { application: ta, priority: 10, start: 1ms, steps: [{ compute: 50ms }, { invoke: go }] }
  high: { application: ta, priority: 50, start: 2ms, deadline: 20ms, steps: [{ invoke: go }] }
`);
    // Priority inversion: high waits for the thread of low, which medium keeps from the processor.
    expect(run.outcome).toBe('starved');
    expect(run.of('high')?.max).toBeGreaterThan(50);
  });
});

describe('times', () => {
  const drawn = (time: string) => `
applications: { ta: { kind: pseudo, concurrent: true, commands: { go: [{ compute: ${time} }] } } }
limit: 600s
clients: { app: { application: ta, repeat: 2000, steps: [{ invoke: go }] } }
`;

  it('can be rarely long and usually short', async () => {
    const { of } = await runOf(drawn('{ usually: 1ms..2ms, oneIn: 100, takes: 50ms }'));
    expect(of('app')?.max).toBe(50);
    expect(of('app')?.p50).toBeLessThanOrEqual(2);
    expect((await runOf(drawn('1ms..2ms'))).of('app')?.max).toBeLessThanOrEqual(2);
  });

  it('can be exponential with a mean and a maximum', async () => {
    const { of, duration } = await runOf(drawn('{ mean: 2ms, most: 20ms }'));
    expect(duration / 2000).toBeGreaterThan(1.7);
    expect(duration / 2000).toBeLessThan(2.3);
    expect(of('app')?.p50).toBeLessThan(2);
    expect(of('app')?.max).toBeGreaterThan(8);
    expect(of('app')?.max).toBeLessThanOrEqual(20);
  });
});

describe('SCMI in a scenario', () => {
  it('supports all protocols of the agent', async () => {
    const commands = [
      'c-on',
      'c-rate',
      'c-set-rate',
      'c-off',
      'v-on',
      'v-level',
      'v-set-level',
      'v-off',
      'r-reset',
      'r-assert',
      'r-deassert',
      'version',
    ];
    const run = await runOf(`
secureWorld: { threads: 4 }
applications: { scmi: { use: scmi, clocks: [c], regulators: [v], resets: [r] } }
clients: { agent: { application: scmi, kernel: true, system: true, steps: [${commands.map((name) => `{ invoke: ${name} }`).join(', ')}] } }
`);
    expect(run.of('agent')).toMatchObject({ calls: commands.length, failed: 0 });
    // A channel for each protocol, each a session that may be a system session.
    expect(run.systemSessions).toEqual({ asked: 3, granted: 3 });
    expect(run.outcome).toBe('finished');
  });
});

describe('a mistake in such a file', () => {
  const file = (part: string, by: string) =>
    problems(
      `locks: { clk: {}, mutex: { world: secure } }
applications:
  a: { kind: user, commands: { go: [{ compute: 1ms }] } }
  b: { kind: user, commands: { go: [{ hold: { lock: mutex, steps: [{ invoke: { application: a, command: go } }] } }] } }
services: { fs: { steps: [{ hold: { lock: clk, steps: [{ wait: 1ms }] } }] } }
clients:
  x: { applications: [a, b], steps: [{ hold: { lock: clk, steps: [{ invoke: { application: b, command: go } }] } }] }
`.replace(part, by),
    );

  it('does not occur in the file that the others are derived from', () => expect(file('', '')).toBe(''));

  it.each([
    [
      'lock: clk, steps: [{ wait',
      'lock: clock, steps: [{ wait',
      '6:37: services.fs.steps[0].hold.lock: there is no lock clock; locks are clk, mutex',
    ],
    [
      'lock: clk, steps: [{ wait',
      'lock: mutex, steps: [{ wait',
      'services.fs.steps[0].hold.lock: mutex is a lock of secure world',
    ],
    [
      'lock: mutex',
      'lock: clk',
      'applications.b.commands.go[0].hold.lock: clk is a lock of the normal world; a command can only hold one with world: secure',
    ],
    [
      'application: a, command: go',
      'application: c, command: go',
      'hold.steps[0].invoke.application: expected another application of the file; applications are a, b',
    ],
    [
      'application: a, command: go',
      'application: a, command: stop',
      'hold.steps[0].invoke.command: application a has no command stop; it has go',
    ],
    [
      '{ application: b, command: go } }] } }] }\n',
      'stop }] } }] }\n',
      'clients.x.steps[0].hold.steps[0].invoke: application a has no command stop; it has go',
    ],
    [
      '[a, b]',
      '[a]',
      'clients.x.steps[0].hold.steps[0].invoke.application: the client has no session with b; its applications are a',
    ],
    ['[a, b]', '[a, c]', 'clients.x.applications[1]: there is no application c'],
    [
      '[a, b]',
      '[a, b], session: each-round',
      'clients.x.session: a client that opens a session for each round has one application',
    ],
    ['world: secure', 'world: other', 'locks.mutex.world: expected one of normal, secure'],
    [
      '[{ compute: 1ms }]',
      '[{ compute: { usually: 1ms, oneIn: 1, takes: 2ms } }]',
      'go[0].compute.oneIn: expected a whole number from 2',
    ],
    ['[{ compute: 1ms }]', '[{ compute: { mean: 3ms, most: 2ms } }]', 'go[0].compute: the mean must not exceed most'],
    [
      '[{ compute: 1ms }]',
      '[{ compute: { usual: 1ms } }]',
      'go[0].compute.usual: no such field; a time with an occasional other value has usually, oneIn, takes',
    ],
    [
      '[{ compute: 1ms }]',
      '[{ invoke: { application: b, command: go } }]',
      'itself through other commands: it would never end',
    ],
    ['clients:', 'cpus: 0\nclients:', 'cpus: expected a whole number from 1 to 64'],
    ['clients:', 'supplicant: { threads: 0 }\nclients:', 'supplicant.threads: expected a whole number from 1'],
    [
      'clients:',
      'faults: { suspend: [{ at: 5ms, resumes: 1ms }] }\nclients:',
      'faults.suspend[0]: it must resume after it suspended',
    ],
    ['clients:', 'emmc: { rpmb: kernel, claim: host }\nclients:', 'emmc.claim: there is no lock host'],
  ])('with %j as %j is reported at its place', (part, by, problem) => {
    expect(file(part, by)).toContain(problem);
  });

  it('is too deep a nesting of locks, at any depth', () => {
    const deep = (levels: number) =>
      `${'{ hold: { lock: clk, steps: ['.repeat(levels)}{ invoke: go }${'] } }'.repeat(levels)}`;
    const clients = (levels: number) =>
      `locks: { clk: { reentrant: true } }\n${quick}\nclients: { a: { application: ta, steps: [${deep(levels)}] } }\n`;
    expect(problems(clients(8))).toBe('');
    expect(problems(clients(9))).toContain('locks may be nested at most 8 deep');
    expect(problems(clients(3000))).not.toBe('');
  });
});

describe('an I2C bus', () => {
  const chip = (client: string) => `
secureWorld: { threads: 1 }
applications:
  se: { kind: user, commands: { sign: [{ compute: 1ms }, { rpc: i2c }] } }
  scmi: { kind: pseudo, concurrent: true, commands: { on: [{ compute: 50us }] } }
services: { i2c: { exclusive: true, steps: [{ invoke: { client: clock, command: on } }, { wait: 2ms }] } }
clients:
  signer: { application: se, ${client} steps: [{ invoke: sign }] }
  clock: { application: scmi, kernel: true, system: true, passive: true }
`;

  it('needs the time of its service, one transfer at a time', async () => {
    const { outcome, duration } = await runOf(`
secureWorld: { threads: 4 }
applications: { se: { kind: user, commands: { sign: [{ rpc: i2c }] } } }
services: { i2c: { exclusive: true, steps: [{ wait: 2ms }] } }
clients: { signer: { application: se, count: 3, steps: [{ invoke: sign }] } }
`);
    expect([outcome, duration]).toEqual(['finished', 6]);
  });

  it('deadlocks if its clock is behind OP-TEE, and the report explains it', async () => {
    const { outcome, words } = await runOf(chip(''));
    expect(outcome).toBe('deadlock');
    expect(words).toMatch(/its I2C_TRANSFER RPC: the I2C bus needs call \d+ \(clock, on\)/);
    expect((await runOf(chip('').replace('threads: 1', 'threads: 2'))).outcome).toBe('finished');
  });

  it('is in the kernel: it continues without a supplicant, and while user space is frozen', async () => {
    const { outcome } = await runOf(`
secureWorld: { threads: 4 }
applications: { se: { kind: pseudo, concurrent: true, commands: { sign: [{ rpc: i2c }] } } }
services: { i2c: { steps: [{ wait: 2ms }] } }
clients: { signer: { application: se, kernel: true, steps: [{ invoke: sign }] } }
faults: { supplicant: absent, suspend: [{ at: 1ms }] }
`);
    expect(outcome).toBe('finished');
  });

  it('may take a lock that its caller holds only if the lock is reentrant', async () => {
    const held = (reentrant: boolean) => `
secureWorld: { threads: 4 }
locks: { clk: { reentrant: ${reentrant} } }
applications: { se: { kind: pseudo, concurrent: true, commands: { sign: [{ rpc: i2c }] } } }
services: { i2c: { steps: [{ hold: { lock: clk, steps: [{ wait: 1ms }] } }] } }
clients: { signer: { application: se, kernel: true, steps: [{ hold: { lock: clk, steps: [{ invoke: sign }] } }] } }
`;
    expect((await runOf(held(true))).outcome).toBe('finished');
    expect((await runOf(held(false))).outcome).toBe('deadlock');
  });

  it('may fail to answer, but gives no late or wrong answer', async () => {
    const never = await runOf(`${chip('')}faults: { unanswered: [{ rpc: i2c, nth: 1 }] }`);
    expect([never.outcome, never.words]).toEqual(['stuck', expect.stringContaining('the I2C bus is never answered')]);
    expect(problems(`${chip('')}faults: { late: [{ rpc: i2c, nth: 1, by: 1ms }] }`)).toContain(
      'late applies to answers of a supplicant; the kernel makes I2C transfers',
    );
  });
});
