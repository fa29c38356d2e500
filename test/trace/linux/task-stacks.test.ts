import { describe, expect, it } from 'vitest';
import { boardVerdict, importLinuxTrace, Timeline, TraceTable, waitGraph } from '../../../src/trace/index.js';

function verdictOf(lines: readonly string[]) {
  const table = new TraceTable();
  const found = importLinuxTrace(lines, table);
  return { found, verdict: boardVerdict(new Timeline(table)) };
}

/** Two calls hold the two threads, each in an RPC. */
const held = [
  '  storage-401 [000] .....  20.000000: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)',
  '  storage-401 [000] .....  20.100000: optee_invoke_fn_end: param=1 ret (ffff0005, 0, 0, 0)',
  '  storage-402 [000] .....  20.200000: optee_invoke_fn_begin: param=2 (32000013, 0, 0, 0, 0, 0, 0, 0)',
  '  storage-402 [000] .....  20.300000: optee_invoke_fn_end: param=2 ret (ffff0005, 0, 0, 1)',
];

/** Who sleeps in the queue, and who holds the clocks' lock for it, by task and innermost function first. */
const frames = {
  kworker: [
    'optee_cq_wait_for_completion',
    'optee_cq_wait_init',
    'optee_smc_do_call_with_arg',
    'scmi_optee_send_message',
    'clk_core_prepare',
    'clk_prepare',
  ],
  storage: ['mutex_lock', 'clk_prepare_lock', 'clk_prepare', 'sdhci_runtime_resume', 'mmc_blk_rpmb_ioctl'],
};
type Task = keyof typeof frames;
const pids: Readonly<Record<Task, number>> = { kworker: 88, storage: 402 };
const comms: Readonly<Record<Task, string>> = { kworker: 'kworker/1:2', storage: 'storage' };
const each = (make: (task: Task, functions: readonly string[]) => readonly string[]) =>
  (['kworker', 'storage'] as const).flatMap((task) => make(task, frames[task]));
const printk = (lines: readonly string[]) => lines.map((line, index) => `[  142.${String(110_000 + index)}] ${line}`);
const sized = (name: string) => `${name}+0x98/0x140`;

/** The forms in which stacks come. */
const forms: Readonly<Record<string, readonly string[]>> = {
  'the hung-task detector': printk(
    each((task, functions) => [
      `INFO: task ${comms[task]}:${pids[task]} blocked for more than 120 seconds.`,
      '      Not tainted 6.8.0 #1',
      '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.',
      `task:${comms[task]}     state:D stack:0     pid:${pids[task]}    tgid:${pids[task]}    ppid:2      flags:0x00000008`,
      'Workqueue: events deferred_probe_work_func',
      'Call trace:',
      ' __switch_to+0xe4/0x158 (T)',
      ...functions.map((name) => ` ${sized(name)} [optee]`),
    ]),
  ),
  'SysRq-w without the sizes of functions': printk(
    each((task, functions) => [
      `task:${comms[task]}     state:D stack:0     pid:${pids[task]}    tgid:${pids[task]}    ppid:2      flags:0x00000008`,
      'Call trace:',
      ...functions.map((name) => ` ${name}+0x98`),
    ]),
  ),
  'SysRq-w before 5.12': printk(
    each((task, functions) => [
      `${comms[task]}     D    0    ${pids[task]}      2 0x00000028`,
      'Call trace:',
      ...functions.map((name) => ` ${sized(name)}`),
    ]),
  ),
  'SysRq-t of x86, with what it is not sure of': printk(
    each((task, functions) => [
      `task:${comms[task]} state:D stack:    0 pid:   ${pids[task]} ppid:     2 flags:0x00004000`,
      'Call Trace:',
      ' <TASK>',
      ...functions.flatMap((name) => [' ? optee_supp_thrd_req+0x1/0x2', ` ${sized(name)}`]),
      ' </TASK>',
    ]),
  ),
  'Arm of 32 bits': printk(
    each((task, functions) => [
      `${comms[task]}     D    0    ${pids[task]}      2 0x00000000`,
      ...functions.slice(0, -1).map((name, at) => ` ${name} from ${functions[at + 1]}+0x58/0xd0`),
      ` ${functions.at(-1)} from ret_from_fork+0x14/0x38`,
    ]),
  ),
  'Arm of 32 bits before 6.0': printk(
    each((task, functions) => [
      `${comms[task]}     D    0    ${pids[task]}      2 0x00000000`,
      ...functions.map((name) => `[<c0a1b2c4>] (${name}) from [<c0a1b8d0>] (schedule+0x58/0xd0)`),
    ]),
  ),
  'tail of /proc': each((task, functions) => [
    `==> /proc/${pids[task]}/stack <==`,
    ...functions.map((name) => `[<0>] ${sized(name)} [optee]`),
    '',
  ]),
  'grep of /proc, by thread': each((task, functions) =>
    functions.map((name) => `/proc/1/task/${pids[task]}/stack:[<0>] ${sized(name)}`),
  ),
  'a loop over /proc': each((task, functions) => [
    `/proc/${pids[task]}:`,
    ...functions.map((name) => `[<0>] ${sized(name)}`),
  ]),
  'decode_stacktrace.sh': printk(
    each((task, functions) => [
      `task:${comms[task]}     state:D stack:0     pid:${pids[task]}    tgid:${pids[task]}    ppid:2      flags:0x00000008`,
      'Call trace:',
      '__switch_to (arch/arm64/kernel/process.c:553 (discriminator 1)) (T)',
      ...functions.map((name) => ` ${name} (drivers/tee/optee/call.c:98) optee`),
    ]),
  ),
  'crash of a dump, with offsets and modules': each((task, functions) => [
    `PID: ${pids[task]}      TASK: ffff000004b0d400  CPU: 1    COMMAND: "${comms[task]}"`,
    ...functions.map((name, at) => ` #${at} [ffff80000a4bb9a0] ${name}+${at * 4} at ffff8000080166d4 [optee]`),
  ]),
  'crash of a dump, with the registers of an interrupted CPU': each((task, functions) => [
    `PID: ${pids[task]}      TASK: ffff000004b0d400  CPU: 1    COMMAND: "${comms[task]}"`,
    ' #0 [ffff800008003e00] crash_save_cpu at ffff800008128a24',
    ' #1 [ffff800008003fc0] optee_cq_wait_for_completion at ffff80000801ff40',
    '     PC: ffff800008f3c0c4  [cpu_do_idle+12]',
    '     LR: ffff800008f3c0bc  [cpu_do_idle+4]',
    '     SP: ffff80000a5bbb40  PSTATE: 60400005',
    '    X29: ffff80000a5bbb40  X28: 0000000000000000  X27: 0000000000000000',
    '--- <IRQ stack> ---',
    ...functions.map((name, at) => ` #${at + 2} [ffff80000a4bb9a0] ${name} at ffff8000080166d4`),
  ]),
  'gdb, of all threads': each((task, functions) => [
    '',
    `Thread ${pids[task] + 1} (Thread ${pids[task]}):`,
    ...functions.map(
      (name, at) =>
        `#${at}  ${at === 0 ? '' : '0xffff80007a4e11c0 in '}${name} (cq=0xffff000003c0, w=<optimized out>)${at === 1 ? '\n    at' : ' at'} drivers/tee/optee/call.c:98`,
    ),
    'Backtrace stopped: previous frame identical to this frame (corrupt stack?)',
  ]).flatMap((line) => line.split('\n')),
  'gdb with names': each((task, functions) => [
    `Thread ${pids[task] + 1} (Thread ${pids[task]} "${comms[task]}"):`,
    ...functions.map((name, at) => `#${at}  0xffff80007a4e11c0 in ${name} () from optee.ko`),
  ]),
  'kgdb, by thread, in full': each((task, functions) => [
    `(gdb) thread ${pids[task] + 1}`,
    `[Switching to thread ${pids[task] + 1} (Thread ${pids[task]})]`,
    '#0  optee_supp_thrd_req (prev=0xffff000003d08000) at arch/arm64/kernel/process.c:555',
    '555\t}',
    '(gdb) bt full',
    ...functions.flatMap((name, at) => [
      `#${at}  0xffff80007a4e11c0 in ${name} (ctx=0xffff000004) at drivers/tee/optee/smc_abi.c:962`,
      at === 0 ? 'No locals.' : '        rc = 0',
    ]),
  ]),
  'crash of a dump': each((task, functions) => [
    `PID: ${pids[task]}      TASK: ffff000004b0d400  CPU: 1    COMMAND: "${comms[task]}"`,
    ...functions.map((name, at) => ` #${at} [ffff80000a4bb9a0] ${name} at ffff8000080166d4`),
  ]),
};

describe('stacks of tasks', () => {
  it.each(Object.keys(forms))('show which task waits for which, in the format of %s', (form) => {
    const { found, verdict } = verdictOf([...held, ...(forms[form] ?? [])]);
    expect(found).toMatchObject({ stacks: 2, refusedCount: 0 });
    // Nothing says what call 1 waits for: it may yet come back, and so may the call that sleeps.
    expect(verdict).toMatchObject({ outcome: 'stuck', exhausted: true });
    const words = verdict.explanation.join('\n');
    expect(words).toMatch(
      /storage-402 #2, in RPC CMD since 20\.300000 s, for .*; it waits for the clocks' prepare lock, which .*-88 holds/,
    );
    expect(words).toMatch(/-88 #3 sleeps in the queue since .* and has not entered/);
  });

  it.each(Object.keys(forms))('close the cycle if both holders wait for the sleeper, in the format of %s', (form) => {
    // The same stack for the other storage task.
    const other = (forms[form] ?? []).map((line) => line.replaceAll('402', '401'));
    const [first = 0] = [other.findIndex((line) => line.includes('401'))];
    const { verdict } = verdictOf([...held, ...(forms[form] ?? []), ...other.slice(first)]);
    expect(verdict).toMatchObject({ outcome: 'deadlock', exhausted: true });
    expect(verdict.explanation.join('\n')).toMatch(
      /-88 #3 sleeps in the queue: it waits for one of threads 0, 1[\s\S]*thread \d, storage-40\d #\d: its CMD RPC waits for .*-88 #3/,
    );
  });

  it('close the cycle at the time of the verdict, not at that of the stacks', () => {
    const other = (forms['the hung-task detector'] ?? []).map((line) => line.replaceAll('402', '401'));
    const table = new TraceTable();
    importLinuxTrace([...held, ...(forms['the hung-task detector'] ?? []), ...other], table);
    const timeline = new Timeline(table);
    const { hangsSinceMs = Number.NaN } = boardVerdict(timeline);
    const times = Array.from({ length: table.length }, (_, at) => table.time(at));
    expect(times).toEqual([...times].sort((one, later) => one - later));
    const at = times.findLastIndex((time) => time <= hangsSinceMs);
    expect(waitGraph(timeline, at).cycle).toHaveLength(2);
    expect(at).toBeLessThan(table.length - 1);
  });

  it('without a line that names the task are counted, with what to do', () => {
    const { found } = verdictOf([...held, 'storage 402', ...frames.storage.map((name) => `[<0>] ${sized(name)}`)]);
    expect(found.stacks).toBe(0);
    expect(found.notes.join('\n')).toMatch(/^5 lines of stacks belong to no task: .*grep \. \/proc/m);
  });

  const hung = (name: string, pid: number, functions: readonly string[]) =>
    printk([
      `INFO: task ${name}:${pid} blocked for more than 120 seconds.`,
      `task:${name}     state:D stack:0     pid:${pid}    tgid:${pid}    ppid:2      flags:0x00000008`,
      'Call trace:',
      ...functions.map((each) => ` ${sized(each)}`),
    ]);
  it('may be the channels of `ps`, in which tasks wait', () => {
    const { found, verdict } = verdictOf([
      ...held,
      '    PID WCHAN                            COMMAND',
      '      1 do_epoll_wait                    systemd',
      '     88 optee_cq_wait_for_completion     kworker/1:2-events',
      '    401 optee_supp_thrd_req              storage',
      '    402 clk_prepare_lock                 [storage]',
      '    412 -                                cat',
    ]);
    expect(found).toMatchObject({ stacks: 4, refusedCount: 0, notes: [] });
    expect(verdict).toMatchObject({ outcome: 'stuck', exhausted: true });
    const words = verdict.explanation.join('\n');
    expect(words).toContain('kworker/1:2-events-88 #3 sleeps in the queue');
    expect(words).toMatch(/storage-401 #1, .*; it waits for an answer of tee-supplicant/);
    expect(words).toMatch(/storage-402 #2, .*; it waits for the clocks' prepare lock/);
  });

  it('may be the channels in /proc', () => {
    const { found, verdict } = verdictOf([
      '/proc/1/wchan:0',
      '/proc/401/wchan:optee_supp_thrd_req',
      '/proc/400/task/402/wchan:optee_cq_wait_for_completion',
    ]);
    expect(found).toMatchObject({ stacks: 2, refusedCount: 0 });
    const words = verdict.explanation.join('\n');
    expect(words).toMatch(/-401 #\d, in RPC CMD/);
    expect(words).toMatch(/-402 #\d sleeps in the queue/);
  });

  it('of ps may be by thread, with columns in another order', () => {
    const { verdict } = verdictOf([
      'COMMAND             TID     PID WCHAN',
      'storage            1402    1400 optee_supp_thrd_req',
      'storage            1403    1400 optee_cq_wait_for_completion',
    ]);
    const words = verdict.explanation.join('\n');
    // ps prints no times.
    expect(verdict.hangsSinceMs).toBeUndefined();
    expect(words).not.toMatch(/since|for \d/);
    expect(words).toContain('storage-1402 #1, in RPC');
    expect(words).toContain('storage-1403 #2 sleeps in the queue');
  });

  it.each([
    ['cut off', ['    PID WCHAN  COMMAND', '     88 optee_ kworker/1:2', '    402 clk_pr storage']],
    [
      'cut off',
      [
        'F S   UID     PID    PPID  C PRI  NI ADDR SZ WCHAN  TTY          TIME CMD',
        '1 D     0      88       2  0  60 -20 -     0 optee_ ?        00:00:00 kworker/1:2',
      ],
    ],
    [
      'empty',
      ['    PID WCHAN                    COMMAND', '     88 -                        kworker/1:2', '402 0 storage'],
    ],
  ])('of ps that are %s are reported, with what to do', (what, lines) => {
    const { found } = verdictOf([...held, ...lines]);
    expect(found.stacks).toBe(0);
    expect(found.notes.join('\n')).toMatch(
      new RegExp(`^the WCHAN column of ps is ${what}: .*ps -eo pid,wchan:40,comm`, 'm'),
    );
  });

  it('show a call in secure world, also on a CPU that a dump interrupted', () => {
    const { found, verdict } = verdictOf([
      'PID: 301      TASK: ffff000003d18000  CPU: 2    COMMAND: "keystored"',
      ' #0 [ffff800008003e00] crash_save_cpu at ffff800008128a24',
      '     PC: ffff800008f3c0c4  [__arm_smccc_smc+20]',
      '--- <IRQ stack> ---',
      ' #5 [ffff80000a6bbb50] __arm_smccc_smc at ffff800008f3c0c4',
      ' #6 [ffff80000a6bbb50] optee_smccc_smc at ffff800008f3c0c4 [optee]',
      ' #7 [ffff80000a6bbb50] optee_smc_do_call_with_arg at ffff800008f3c0c4 [optee]',
    ]);
    expect(found).toMatchObject({ stacks: 1, calls: 1 });
    expect(verdict.explanation.join('\n')).toContain('keystored-301 #1, in secure world');
  });

  it('of tasks that make no call are not a record in which all is well', () => {
    const { verdict } = verdictOf(hung('khugepaged', 40, ['msleep', 'khugepaged']));
    expect(verdict.outcome).toBe('no-calls');
    expect(verdict.explanation.join('\n')).toMatch(/^No call of OP-TEE is in the record/);
  });

  it('use the owner of a lock that the kernel names', () => {
    const stack = (comm: string, pid: number, ...functions: string[]) => [
      `INFO: task ${comm}:${pid} blocked for more than 120 seconds.`,
      ...(pid === 88 ? [] : [`INFO: task ${comm}:${pid} is blocked on a mutex likely owned by task kworker/1:2:88.`]),
      `task:${comm} state:D stack:0 pid:${pid} tgid:${pid} ppid:2 task_flags:0x0 flags:0x0`,
      'Call trace:',
      ...functions.map((name) => ` ${sized(name)}`),
    ];
    const { verdict } = verdictOf([
      ...held,
      ...printk([
        ...stack('kworker/1:2', 88, 'optee_cq_wait_for_completion', 'optee_cq_wait_init', 'optee_smc_do_call_with_arg'),
        ...stack('storage', 401, 'mutex_lock', 'vendor_power_on'),
        ...stack('storage', 402, 'mutex_lock', 'vendor_power_on'),
      ]),
    ]);
    expect(verdict.outcome).toBe('deadlock');
    expect(verdict.explanation.join('\n')).toContain('(a lock in vendor_power_on, which kworker/1:2-88 holds)');
  });

  it('show that tee-supplicant is missing or idle if an RPC waits for it', () => {
    const waits = printk([
      'task:storage state:D stack:0 pid:402 tgid:402 ppid:2 flags:0x0',
      'Call trace:',
      ` ${sized('wait_for_completion_interruptible')}`,
      ` ${sized('optee_supp_thrd_req')}`,
    ]);
    expect(verdictOf([...held, ...waits]).verdict.explanation.join('\n')).toContain(
      'an answer of tee-supplicant, which has no stack in the record: is it running?',
    );
    const idle = printk([
      'task:tee-supplicant state:S stack:0 pid:214 tgid:214 ppid:1 flags:0x0',
      'Call trace:',
      ` ${sized('optee_supp_recv')}`,
    ]);
    expect(verdictOf([...held, ...waits, ...idle]).verdict.explanation.join('\n')).toContain(
      'an answer of tee-supplicant, which is idle',
    );
  });

  it('that are older than the last line of their task are ignored', () => {
    const old = (forms['the hung-task detector'] ?? []).map((line) => line.replace('[  142.', '[   19.'));
    const { verdict } = verdictOf([...held, ...old]);
    expect(verdict.explanation.join('\n')).not.toContain('prepare lock');
  });

  const rpcs = {
    SMC: ['optee_rpc_cmd', 'optee_handle_rpc', 'optee_smc_do_call_with_arg'],
    'FF-A': ['optee_rpc_cmd', 'handle_ffa_rpc_func_cmd', 'optee_ffa_yielding_call', 'optee_ffa_do_call_with_arg'],
  };

  it.each(['SMC', 'FF-A'] as const)('show a deadlock without tracepoints, over %s', (abi) => {
    const { found, verdict } = verdictOf([
      ...hung('kworker/1:2', 88, frames.kworker),
      ...hung('storage', 401, [...frames.storage, ...rpcs[abi]]),
      ...hung('storage', 402, ['__mmc_claim_host', 'mmc_get_card', 'mmc_blk_rpmb_ioctl', ...rpcs[abi]]),
    ]);
    expect(found).toMatchObject({ lines: 0, stacks: 3, calls: 3 });
    expect(verdict).toMatchObject({ outcome: 'deadlock', exhausted: true });
    const words = verdict.explanation.join('\n');
    expect(words).toMatch(
      /kworker\/1:2-88 #\d sleeps in the queue: it waits for one of threads 0, 1, and none is free/,
    );
    expect(words).toMatch(/storage-401 #\d: its CMD RPC waits for kworker\/1:2-88 #\d \(the clocks' prepare lock/);
    expect(words).toMatch(/for 120\.\d s when the record ends/);
  });

  it('show a task that sleeps in the queue within its own RPC', () => {
    const { verdict } = verdictOf(hung('storage', 401, [...frames.kworker, ...rpcs.SMC]));
    expect(verdict).toMatchObject({ outcome: 'deadlock' });
    expect(verdict.explanation.join('\n')).toMatch(/storage-401 #1: its CMD RPC waits for storage-401 #2/);
  });

  it('that show nobody who holds a thread do not let a wake-up seem lost', () => {
    const { verdict } = verdictOf(hung('kworker/1:2', 88, frames.kworker));
    expect(verdict.outcome).toBe('stuck');
    expect(verdict.explanation.join('\n')).toContain(
      'Neither tracepoints nor stacks show which calls hold the threads',
    );
  });

  it('without tracepoints show which tasks sleep in the queue', () => {
    const { found, verdict } = verdictOf(forms['SysRq-w before 5.12'] ?? []);
    expect(found).toMatchObject({ lines: 0, stacks: 2, calls: 1 });
    expect(verdict.explanation.join('\n')).toContain('kworker/1:2-88 #1 sleeps in the queue');
  });
});
