import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  boardVerdict,
  CallState,
  hangReport,
  importLinuxTrace,
  Timeline,
  TraceTable,
} from '../../../src/trace/index.js';

const file = (name: string) => readFileSync(join(import.meta.dirname, '..', name), 'utf8').split('\n');
const hang = file('linux-hang.txt');

/** A task that makes a call within an RPC of its own, three times. */
const nested = [0, 1, 2].flatMap((round) => {
  const time = (us: number) => `20.0${round}${String(us).padStart(4, '0')}`;
  const task = '    kworker/u8:2-77      [000] .....';
  const outer = 'param=00000000aaaa0001';
  const inner = 'param=00000000aaaa0999';
  return [
    `${task}   ${time(0)}: optee_invoke_fn_begin: ${outer} (32000013, ffff1b1a, 48584c00, 0, 0, 0, 0, 0)`,
    `${task}   ${time(300)}: optee_invoke_fn_end: ${outer} ret (ffff0005, 0, 0, 0)`,
    `${task}   ${time(400)}: optee_invoke_fn_begin: ${inner} (32000013, ffff1b1a, 48584c00, 180, 0, 0, 0, 0)`,
    `${task}   ${time(450)}: optee_invoke_fn_end: ${inner} ret (0, 0, 0, 0)`,
    `${task}   ${time(2000)}: optee_invoke_fn_begin: ${outer} (32000003, ffff1b1a, 48584c00, 0, 0, 0, 0, 0)`,
    `${task}   ${time(2300)}: optee_invoke_fn_end: ${outer} ret (0, 0, 0, 0)`,
  ];
});

function imported(lines: readonly string[]) {
  const table = new TraceTable();
  const found = importLinuxTrace(lines, table);
  const timeline = new Timeline(table);
  return { found, table, timeline, report: hangReport(timeline), verdict: boardVerdict(timeline) };
}

/** What does not depend on the form of a text. */
function outcomeOf(lines: readonly string[]) {
  const { found, timeline, verdict } = imported(lines);
  const calls = Array.from({ length: timeline.callCount }, (_, call) =>
    [...timeline.segmentsOf(call)].map(({ state }) => state),
  );
  const { lines: used, refusedCount, missing, beganBefore } = found;
  const pids = timeline.clients.map((client) => client.slice(client.lastIndexOf('-') + 1));
  return { used, refusedCount, missing, beganBefore, pids, calls, outcome: verdict.outcome };
}

describe("an import of Linux's tracepoints", () => {
  it('reports which calls hold threads, in what state, and which have none', () => {
    const { found, report } = imported(hang);
    expect(found).toMatchObject({ lines: 15, refusedCount: 0 });
    expect(report).toMatchObject({ threads: 2, ethreadLimit: 2 });
    expect(report.holders[0]).toMatchObject({ client: 'storage-402', thread: 1, unfinished: true });
    expect(report.holders[0]?.sitsIn).toBe('RPC CMD');
    expect(report.holders[0]?.heldMs).toBeCloseTo(1007.8, 3);
    expect(report.holders.find(({ client }) => client === 'storage-401')).toMatchObject({ thread: 0, sitsIn: '' });
    expect(report.starved).toMatchObject([{ client: 'kworker/1:2-88', calls: 2, ethreadLimit: 2, asleepAtEnd: true }]);
    expect(report.starved[0]?.asleepMs).toBeCloseTo(4.9 + 1000, 3);
    expect(report.unfinished.map(({ client, sitsIn }) => `${client}: ${sitsIn}`)).toEqual([
      'storage-402: RPC CMD',
      'storage-403: in secure world',
      'kworker/1:2-88: asleep in the queue',
    ]);
  });

  it('reads the output of trace-cmd report', () => {
    const { found, table } = imported([
      'cpus=4',
      '           xtest-512   [003]   57.123456: optee_invoke_fn_begin: param=0xffff80008 (32000012, 0, 4200000, 0, 0, 0, 0, 0)',
      '           xtest-512   [003]   57.123656: optee_invoke_fn_end: param=0xffff80008 ret (0, 0, 0, 0)',
    ]);
    expect(found).toMatchObject({ lines: 2, refusedCount: 0 });
    const [begin, enter, exit, end] = [...table.events()];
    expect(begin).toMatchObject({ type: 'call-begin', context: 'xtest-512', call: 1 });
    expect(enter).toMatchObject({ type: 'world-enter', function: 0x32000012 });
    expect(exit).toMatchObject({ type: 'world-exit', a0: 0 });
    expect(end).toMatchObject({ type: 'call-end' });
    expect((end?.time ?? 0) - (begin?.time ?? 0)).toBeCloseTo(0.2, 6);
  });

  it.each([
    { announced: true, recording: 'linux-6.12-guest.txt' },
    { announced: false, recording: 'linux-6.12-guest-untracked.txt' },
  ])(
    "reads what Debian's Linux 6.12 recorded (OP-TEE says how many threads: $announced)",
    ({ announced, recording }) => {
      // bench/linux/trace.js: four threads call TEE_Wait(10 ms) three times each, and one opens a session with a TA that is
      // loaded from a file, on the two threads of OP-TEE 4.5.
      const lines = file(recording);
      const { found, table, report } = imported(lines);
      const timeline = new Timeline(table);
      const printed = (what: RegExp) => lines.filter((line) => what.test(line)).length;
      expect(found).toMatchObject({ lines: printed(/optee_invoke_fn/), refusedCount: 0 });
      expect(report).toMatchObject({ threads: 2, unfinished: [] });
      for (let record = 0; record < table.length; record++) {
        const inside = timeline.stateAfter(record).filter(({ state }) => state === CallState.rpc);
        expect(new Set(inside.map(({ call }) => timeline.callThread.at(call))).size).toBe(inside.length);
      }
      const calls = Array.from({ length: timeline.callCount }, (_, call) => call);
      const waits = calls.filter((call) => timeline.clientOf(call).startsWith('waiter-'));
      expect(waits).toHaveLength(12);
      for (const call of waits) {
        const asleep = [...timeline.segmentsOf(call)].filter(({ state }) => state === CallState.rpc);
        expect(asleep.reduce((sum, { start, end }) => sum + end - start, 0)).toBeGreaterThan(10);
        expect(timeline.callReturn.at(call)).toBe(0);
      }
      expect(report.holders[0]).toMatchObject({ client: 'opener-1', thread: 0 });
      expect(report.ethreadLimit).toBe(printed(/ret \(1, /));
      if (announced) expect(report).toMatchObject({ ethreadLimit: 0, starved: [] });
      else {
        expect(report.ethreadLimit).toBe(11);
        // The interrupt's thread wants a bottom half.
        expect(report.starved.map(({ client }) => client)).toContain('irq/16-optee_no-134');
        expect(report.starved.reduce((sum, { ethreadLimit }) => sum + ethreadLimit, 0)).toBe(11);
        expect(report.starved.some(({ asleepAtEnd }) => asleepAtEnd)).toBe(false);
      }
    },
  );

  it('reports where the kernel lost events', () => {
    const { found } = imported([
      hang[9] ?? '',
      'CPU:1 [LOST 12 EVENTS]',
      'CPU:7 [204600 EVENTS DROPPED]',
      'CPU:0 [LOST EVENTS]',
    ]);
    expect(found.refused.map(({ why }) => why)).toEqual([
      'the kernel lost 12 events here: its buffer was full',
      'the kernel lost 204600 events here: its buffer was full',
      'the kernel lost events here: its buffer was full',
    ]);
  });

  it('reports the lines that it cannot use, and continues', () => {
    const { found, report } = imported([
      hang[9] ?? '',
      'optee_invoke_fn_begin: nonsense',
      '  task-9 [000] .....  99.0: optee_invoke_fn_begin: param=1 (32000013, 0)',
      '  [000] .....  99.0: optee_invoke_fn_end: param=0 ret (0, 0, 0, 0)',
      '  task-9 [000] ..... : optee_invoke_fn_end: param=0 ret (0, 0, 0, 0)',
      '# echo 1 > events/optee/optee_invoke_fn_begin/enable',
      'names optee_invoke_fn_other: 1',
    ]);
    expect(found.refused).toEqual([
      { line: 2, why: 'its parameter or its registers are cut off' },
      { line: 3, why: 'expected 8 registers in hexadecimal' },
      {
        line: 4,
        why: 'there is no task with its number (task-123, or task 123) before the time; `perf script -F` needs comm,tid',
      },
      { line: 5, why: 'there is no time before the tracepoint' },
      { line: 7, why: 'it names the tracepoint, but does not have its format' },
    ]);
    expect(found).toMatchObject({ lines: 1, refusedCount: 5 });
    expect(report.unfinished).toHaveLength(1);
  });

  it('creates calls that began before the record', () => {
    const { found, timeline } = imported([
      '  early-9 [000] .....  99.0: optee_invoke_fn_begin: param=0 (32000003, 0, 0, 1, 0, 0, 0, 0)',
      '  other-8 [001] .....  99.1: optee_invoke_fn_end: param=7 ret (ffff0005, 0, 0, 0)',
      '  early-9 [000] .....  99.5: optee_invoke_fn_end: param=0 ret (0, 0, 0, 0)',
    ]);
    expect(found).toMatchObject({ lines: 3, refusedCount: 0, calls: 2, beganBefore: 2, missing: 0 });
    const states = (client: string) =>
      [...timeline.segmentsOf(timeline.clients.indexOf(client) === 0 ? 0 : 1)]
        .filter(({ start, end }) => end > start)
        .map(({ state }) => state);
    expect(states('other-8')).toEqual([CallState.secure, CallState.rpc]);
    expect(states('early-9')).toEqual([CallState.secure]);
    expect([0, 1].map((call) => timeline.callThread.at(call))).toEqual([0, 1]);
  });

  it('distinguishes the calls of one task, each within an RPC of the one before', () => {
    const { found, report } = imported(nested);
    expect(found).toMatchObject({ lines: 18, refusedCount: 0, calls: 6, beganBefore: 0, missing: 0 });
    expect(report).toMatchObject({ unfinished: [], ethreadLimit: 0 });
  });

  it('detects a deadlock of calls within the RPCs of their own tasks', () => {
    const one = (task: string, thread: number, param: number) => [
      `  ${task} [000] .....  20.0: optee_invoke_fn_begin: param=${param} (32000013, 0, 0, 0, 0, 0, 0, 0)`,
      `  ${task} [000] .....  20.1: optee_invoke_fn_end: param=${param} ret (ffff0005, 0, 0, ${thread})`,
    ];
    const within = (task: string, param: number) => [
      `  ${task} [000] .....  20.2: optee_invoke_fn_begin: param=${param} (32000013, 0, 0, 0, 0, 0, 0, 0)`,
      `  ${task} [000] .....  20.3: optee_invoke_fn_end: param=${param} ret (1, 0, 0, 0)`,
    ];
    const { verdict } = imported([
      ...one('mmc-1', 0, 1),
      ...one('mmc-2', 1, 2),
      ...within('mmc-1', 3),
      ...within('mmc-2', 4),
    ]);
    expect(verdict).toMatchObject({ outcome: 'deadlock', exhausted: true, hangsSinceMs: 20_300 });
    expect(verdict.explanation.join('\n')).toContain(
      'thread 0, mmc-1 #1: its CMD RPC waits for mmc-1 #3 (mmc-1 itself, within the RPC)',
    );
  });

  it('splits 64-bit registers, and names error results', () => {
    const line = (ret: string) => [
      '  probe-88 [002] .....    12.000100: optee_invoke_fn_begin: param=00000000c0ffee01 (32000013, 0, 0, 0, 0, 0, 0, 0)',
      `  probe-88 [002] .....    12.000120: optee_invoke_fn_end: param=00000000c0ffee01 ret (${ret}, 0, 0, 0)`,
    ];
    const errors = (ret: string) => imported(line(ret)).report.errors;
    expect(errors('ffffffffffffffff')).toEqual({ UNKNOWN_FUNCTION: 1 });
    expect(errors('ffffffff')).toEqual({ UNKNOWN_FUNCTION: 1 });
    expect(errors('0x0')).toEqual({});
    expect(errors('7')).toEqual({ ENOTAVAIL: 1 });
    expect(imported(line('ffffffff00000001')).report.ethreadLimit).toBe(1);
    for (const [a0, rpc] of [
      ['ffffffffffff0005', 'CMD'],
      ['ffffffffffff0004', 'FOREIGN_INTERRUPT'],
      ['ffffffffffff0000', 'ALLOC'],
    ])
      expect(imported(line(a0 ?? '')).report.unfinished).toMatchObject([{ sitsIn: `RPC ${rpc}` }]);
  });

  it('does not split a call whose task changes its name', () => {
    const { found, report } = imported([
      '           <...>-301     [000] .....   12.000100: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)',
      '       keystored-301     [000] .....   12.001100: optee_invoke_fn_end: param=1 ret (0, 0, 0, 0)',
      '           <...>-302     [000] .....   12.001200: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)',
    ]);
    expect(found).toMatchObject({ calls: 2, refusedCount: 0 });
    expect(report.holders.map(({ client }) => client)).toEqual(['keystored-301']);
    expect(report.unfinished.map(({ client }) => client)).toEqual(['<...>-302']);
  });

  it('reports calls with missing lines, and loses none', () => {
    const without = nested.filter((_, index) => index !== 5 && index !== 8);
    const { found, report } = imported(without);
    expect(found.missing).toBeGreaterThan(0);
    expect(found.lines).toBe(16);
    expect(found.notes.join()).toContain('lines are missing between others');
    expect(report.unfinished.length).toBeLessThanOrEqual(1);
  });

  it('infers a call that holds a thread which no line shows', () => {
    const { verdict } = imported([
      '  one-1 [000] .....  20.0: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)',
      '  one-1 [000] .....  20.1: optee_invoke_fn_end: param=1 ret (ffff0005, 0, 0, 1)',
      '  two-2 [000] .....  20.2: optee_invoke_fn_begin: param=2 (32000013, 0, 0, 0, 0, 0, 0, 0)',
      '  two-2 [000] .....  20.3: optee_invoke_fn_end: param=2 ret (1, 0, 0, 0)',
    ]);
    expect(verdict).toMatchObject({ outcome: 'stuck', exhausted: true });
    expect(verdict.explanation.join('\n')).toContain(
      'thread 0: not in the record #1, in secure world since 20.000000 s',
    );
  });
});

describe('the forms in which the tracepoints are printed', () => {
  const want = outcomeOf(nested);
  /** Task, CPU, time in seconds, and the rest of each line. */
  const parts = nested.map((line) => {
    const match = /^\s*(.+)-(\d+) +\[(\d+)\] \S+ +([\d.]+): (.*)$/.exec(line);
    const [, comm = '', pid = '', cpu = '', time = '', rest = ''] = match ?? [];
    return { comm, pid, cpu, time, rest };
  });
  const ms = (time: string) => ((Number(time) - 20) * 1e3).toFixed(3);
  const us = (time: string) => String(Math.round(Number(time) * 1e6));
  /** As trace-cmd prints the fields of an event whose format it does not use. */
  const octets = (fields: (param: string, array: string) => string) =>
    parts.map(({ comm, pid, cpu, time, rest }) => {
      const [, which = '', param = '', list = ''] =
        /^optee_invoke_fn_(\w+): param=(\S+) (?:ret )?\((.*)\)$/.exec(rest) ?? [];
      const each = list.split(', ').flatMap((word) => {
        const hex = word.padStart(which === 'end' ? 16 : 8, '0');
        return hex.match(/../g)?.reverse() ?? [];
      });
      const array = `${which === 'end' ? 'rets' : 'args'}=ARRAY[${each.join(', ')}]`;
      return `${comm.padStart(16)}-${pid} [${cpu}] ${time}: optee_invoke_fn_${which}: ${fields(`param=0x${param}`, array)}`;
    });
  const forms: Record<string, readonly string[]> = {
    'perf script': parts.map(
      ({ comm, pid, cpu, time, rest }) =>
        `${comm.padStart(16)} ${pid.padStart(5)} [${cpu}] ${time.padStart(12)}: optee:${rest}`,
    ),
    'perf script with threads': parts.map(
      ({ comm, pid, cpu, time, rest }) =>
        `${comm.padStart(16)} 1/${pid} [${cpu}] ${time.padStart(12)}:   optee:${rest}`,
    ),
    'perf script with periods': parts.map(
      ({ comm, pid, cpu, time, rest }) =>
        `${comm.padStart(16)} ${pid.padStart(5)} [${cpu}] ${time.padStart(12)}:          1 optee:${rest}`,
    ),
    'trace-cmd report': parts.map(
      ({ comm, pid, cpu, time, rest }) => `${comm.padStart(16)}-${pid.padEnd(5)} [${cpu}] ${time}: ${rest}`,
    ),
    'trace-cmd report with nanoseconds and differences': parts.map(
      ({ comm, pid, cpu, time, rest }) => `${comm.padStart(16)}-${pid} [${cpu}] d..2. ${time}123: (+12) ${rest}`,
    ),
    'the kernel with thread groups': parts.map(
      ({ comm, pid, cpu, time, rest }) =>
        `${comm.padStart(16)}-${pid.padEnd(7)} (-------) [${cpu}] ..... ${time}: ${rest}`,
    ),
    'the kernel without flags': parts.map(
      ({ comm, pid, cpu, time, rest }) => `${comm.padStart(16)}-${pid.padEnd(7)} [${cpu}] ${time}: ${rest}`,
    ),
    'the latency format': parts.map(
      ({ comm, pid, time, rest }) => `${comm.slice(0, 8).padStart(8)}-${pid.padEnd(7)} 0d..2. ${us(time)}us : ${rest}`,
    ),
    'the latency format with marks': parts.map(
      ({ comm, pid, time, rest }) => `${comm.slice(0, 8).padStart(8)}-${pid.padEnd(7)} 10..... ${us(time)}us!: ${rest}`,
    ),
    'the latency format of before 5.13': parts.map(
      ({ comm, pid, time, rest }) => `${comm.slice(0, 8).padStart(8)}-${pid.padEnd(5)} 0.... ${us(time)}us+: ${rest}`,
    ),
    'the latency format, verbose': parts.map(
      ({ comm, pid, time, rest }) =>
        `${comm.padStart(16)} ${pid.padStart(7)}   0 0 00000000 00000001 [000000b71b04] ${us(time).slice(0, -3)}.${us(time).slice(-3)}ms (+0.001ms): ${rest}`,
    ),
    'the clock counter': parts.map(
      ({ comm, pid, cpu, time, rest }) =>
        `${comm.padStart(16)}-${pid.padEnd(7)} [${cpu}] ..... ${us(time).padStart(10)}: ${rest}`,
    ),
    'perf trace': parts.map(
      ({ comm, pid, time, rest }) =>
        `${ms(time).padStart(10)} ${comm}/${pid} optee:${rest.replace(/^(\w+): (.*)$/, '$1($2)')}`,
    ),
    'perf trace of before 5.0': parts.map(
      ({ comm, pid, time, rest }) =>
        `${ms(time).padStart(10)} (         ): ${comm}/${pid} optee:${rest.replace(': ', ':')})`,
    ),
    'the octets of trace-cmd with -R': octets((param, array) => `common_type=1301 common_pid=301 ${param} ${array}`),
    'octets of trace-cmd': octets((param, array) => `[FAILED TO PARSE] ${param} ${array}`),
    'lines that a mail has broken': nested.flatMap((line) => {
      const at = line.indexOf(', 0, 0') + 1;
      return [line.slice(0, at), line.slice(at)];
    }),
  };

  it.each(Object.keys(forms))('are read in the format of %s', (form) => {
    const text = forms[form] ?? [];
    expect(outcomeOf(text)).toEqual(want);
  });

  const prefixes: Record<string, (index: number) => string> = {
    'printk times that grow': (index) => `[  240.${String(110_000 + index)}] `,
    'printk times with callers': (index) => `[  240.${String(110_000 + index)}][  T301] `,
    'log levels of pstore': (index) => `<4>[  240.${String(110_000 + index)}] `,
    syslog: (index) => `Oct 12 10:00:${String(10 + index)} board kernel: `,
    'journalctl with printk': (index) =>
      `Oct 12 10:00:${String(10 + index)} board kernel: [  240.${String(110_000 + index)}] `,
    'ISO times': (index) => `2026-10-12T10:00:${String(10 + index)}.123456+00:00 board kernel: `,
    'dmesg -T': (index) => `[Mon Oct 12 10:00:${String(10 + index)} 2026] `,
    'dmesg -x': (index) => `kern  :info  : [  240.${String(110_000 + index)}] `,
    grabserial: (index) => `[57.${String(900_001 + index)} 0.000012] `,
    'a terminal program': (index) => `[2026-10-12 10:00:${String(10 + index)}.250] `,
    logcat: (index) => `10-12 10:00:${String(10 + index)}.123     0     0 I kernel: `,
    'a quoting mail': () => '> ',
    'a word': () => 'board> ',
    colours: () => '\x1b[32m',
  };
  it.each(Object.keys(prefixes))('are read after %s', (prefix) => {
    const put = prefixes[prefix] ?? (() => '');
    for (const form of ['the latency format', 'trace-cmd report', 'perf script'])
      expect(outcomeOf((forms[form] ?? []).map((line, index) => `${put(index)}${line}\r`))).toEqual(want);
  });

  it('are read from the console with tp_printk, which names the task by its number', () => {
    const text = parts.map(({ pid, time, rest }) => `<6>[${time.padStart(12)}][${`T${pid}`.padStart(6)}] ${rest}`);
    const { outcome, calls } = outcomeOf(text);
    expect({ outcome, calls }).toEqual({ outcome: want.outcome, calls: want.calls });
  });

  it('are refused from the console with tp_printk if the kernel does not print the task', () => {
    const { found } = imported(parts.map(({ time, rest }) => `[${time.padStart(12)}] ${rest}`));
    expect(found.lines).toBe(0);
    expect(found.refused[0]?.why).toMatch(/no task.*CONFIG_PRINTK_CALLER/);
  });

  it.each([
    ['     0.000 keystored/301 optee:optee_invoke_fn_begin(param: 0xffff8000834bbb18)', /perf record.*perf script/],
    [' keystored 301 [000] 57.1: optee:optee_invoke_fn_begin: ', /built without libtraceevent/],
    ['     0.000 optee:optee_invoke_fn_end(param=1 ret (0, 0, 0, 0))', /no task: .*perf trace -a/],
    ['57.1: optee:optee_invoke_fn_end: param=1 ret (0, 0, 0, 0)', /perf script -F.* needs comm,tid/],
    [
      '  t-1 [000] 57.1: optee_invoke_fn_begin: param=0xff args=ARRAY[04, 00, 00, 32, 00, 00]',
      /has 6 octets, not 32 or 64: .*trace-cmd report.* without -R/,
    ],
  ])('are refused with what to do: %s', (line, why) => {
    const { found } = imported([line]);
    expect(found).toMatchObject({ lines: 0, refusedCount: 1 });
    expect(found.refused[0]?.why).toMatch(why);
  });

  it.each([
    ['journald', (message: string) => JSON.stringify({ _HOSTNAME: 'board', MESSAGE: message })],
    ['journald, as octets', (message: string) => JSON.stringify({ MESSAGE: [...Buffer.from(message)] })],
    ['Docker', (message: string) => JSON.stringify({ log: `${message}\n`, stream: 'stdout' })],
  ])('are read from the JSON of %s', (_, put) => {
    expect(outcomeOf((forms['the latency format'] ?? []).map(put))).toEqual(want);
  });

  it('are read in any order of lines, with any prefix and other lines between them, and none is lost silently', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const line = fc.constantFrom(...Object.keys(forms).filter((name) => !/counter|mail|latency|perf trace/.test(name)));
    const prefix = fc.constantFrom(...Object.values(prefixes));
    const rubbish = fc.array(
      fc.oneof(fc.string(), fc.constantFrom('optee_invoke_fn_', 'CPU:0 [LOST 3 EVENTS]', '# tracer: nop')),
    );
    fc.assert(
      fc.property(
        line,
        prefix,
        fc.shuffledSubarray([...nested.keys()], { minLength: nested.length }),
        rubbish,
        (form, put, order, between) => {
          const text = order.map((index) => `${put(index)}${forms[form]?.[index] ?? ''}`);
          const { found } = imported([...text, ...between.map((each) => each.replaceAll('\n', ' '))]);
          expect(found.lines).toBe(nested.length);
          const refusable = between.filter((each) => /^CPU:|optee_invoke_fn_/.test(each)).length;
          expect(found.refusedCount).toBe(refusable);
          if (refusable === 0) expect(outcomeOf(text)).toEqual(want);
        },
      ),
      { seed, numRuns: 40 },
    );
  });

  it('are read in linear time: blank lines, very long lines', () => {
    const blanks = ' '.repeat(200_000);
    expect(
      imported([`${blanks}optee_invoke_fn_begin: param=1 (0)`, `${blanks}${'optee_invoke_fn_'.repeat(10_000)}`]).found,
    ).toMatchObject({
      lines: 0,
      refusedCount: 2,
    });
    const same = Array.from(
      { length: 20_000 },
      (_, index) =>
        `  t-${index % 3} [000] .....  1.0: optee_invoke_fn_end: param=${index % 5} ret (${index % 2}, 0, 0, 0)`,
    );
    expect(
      imported([...same, '  t-1 [000] ..... 0.5: optee_invoke_fn_end: param=1 ret (0, 0, 0, 0)']).found.lines,
    ).toBe(20_001);
  }, 60_000);
});
