import { describe, expect, it } from 'vitest';
import { randomWalk } from '../../src/explore/driver/decisions.js';
import { judgeRun } from '../../src/explore/driver/runs/judge-run.js';
import { openTee, TeeResult, trustedApplication } from '../../src/index.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { RunJournal } from '../../src/scenario/journal/run-journal.js';
import { scenarioApplications } from '../../src/scenario/pieces/applications.js';
import { runningShipped, shippedCommands } from '../../src/scenario/pieces/shipped-applications.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import type { RunResult } from '../../src/scenario/scenario-result.js';
import { counterTa } from '../../src/testing.js';
import { MemoryRecorder, readTrace } from '../../src/trace/index.js';

async function run(text: string, queue: 'linux-6.7' | 'hand-off' = 'hand-off', seed = 1): Promise<RunResult> {
  const [result] = (await runScenario(parseScenario(text, 'test.yaml'), { queues: [queue], seed })).runs;
  if (result === undefined) throw new Error('no run');
  return result;
}

interface Board {
  readonly abi?: 'smc' | 'ffa';
  readonly rpmb?: 'kernel' | 'supplicant';
  readonly transport?: 'msg' | 'smt';
  readonly threads?: number;
}

/** The whole chain: storage TA, RPMB, eMMC, SCMI agent, SCMI service. */
const chain = ({ abi = 'smc', rpmb = 'kernel', transport = 'msg', threads = 2 }: Board = {}) => `
title: chain
secureWorld: { threads: ${threads}, abi: ${abi} }
applications:
  vault: { use: rpmb-storage, compute: 100us }
  scmi: { use: scmi, clocks: [clk], regulators: [vcc], compute: 50us }
emmc: { rpmb: ${rpmb}, access: 1ms, needs: [vcc, clk], agent: agent }
clients:
  one: { application: vault, count: 3, repeat: 2, steps: [{ invoke: write }, { invoke: read }] }
  agent: { application: scmi, kernel: true, system: true, passive: true, transport: ${transport} }
`;

describe('the real chain in a scenario', () => {
  const boards: readonly Board[] = [
    { abi: 'smc', rpmb: 'kernel', transport: 'msg' },
    { abi: 'smc', rpmb: 'supplicant', transport: 'smt' },
    { abi: 'ffa', rpmb: 'kernel', transport: 'smt' },
    { abi: 'ffa', rpmb: 'supplicant', transport: 'msg' },
  ];
  it.each(boards)('works over $abi, its frames carried by the $rpmb, SCMI by $transport', async (board) => {
    const { outcome, explanation, clients, systemSessions } = await run(chain(board));
    expect({ outcome, explanation }).toMatchObject({ outcome: 'finished' });
    expect(systemSessions).toEqual({ asked: 2, granted: 2 });
    // 12 accesses, and those by which the card is found and gets its key: two switched on, two off for each.
    expect(clients).toMatchObject([
      { name: 'one', calls: 12, failed: 0 },
      { name: 'agent', calls: 4 * (12 + 3), failed: 0, p50: 0.05 },
    ]);
  });

  it.each([
    ['kernel', 'RPMB_FRAMES'],
    ['supplicant', 'RPMB'],
  ] as const)('is explained by its own names where it makes no progress: %s', async (rpmb, rpc) => {
    const { outcome, explanation } = await run(chain({ rpmb, threads: 2 }), 'linux-6.7');
    expect(outcome).toBe('deadlock');
    const text = explanation.join('\n');
    const needed = /^Call (\d+) \(agent, (vcc|clk)-(on|off) by PROCESS_MSG_CHANNEL\) sleeps/.exec(text)?.[1];
    const holder = /thread \d: call (\d+) \(one \d, (?:read|write)\): its \w+ RPC: the eMMC needs/.exec(text)?.[1];
    expect(text).toContain(`its ${rpc} RPC: the eMMC needs call ${needed} (agent, `);
    expect(text).toMatch(new RegExp(`asleep in OP-TEE behind call ${holder} \\(NOTIFICATION RPC\\)`));
    expect(text).toContain('no thread is kept for agent');
  });

  it.each([1, 2, 3, 4, 5, 6])('accesses the card one call at a time, seed %d', async (seed) => {
    const { outcome, explanation } = await run(chain({ threads: 3 }), 'linux-6.7', seed);
    expect(outcome).toBe('deadlock');
    const threads = explanation.filter((sentence) => sentence.startsWith('  thread'));
    const [holder, ...others] = threads.filter((sentence) => sentence.includes('the eMMC needs'));
    const [, call] = /: call (\d+) /.exec(holder ?? '') ?? [];
    expect([threads.length, others]).toEqual([3, []]);
    expect(threads.filter((sentence) => sentence.endsWith(`behind call ${call} (NOTIFICATION RPC)`))).toHaveLength(2);
  });

  it('is recorded in the trace: which RPC waits for which call of the agent', async () => {
    const recorder = new MemoryRecorder({ maxBytes: 1_000_000 });
    const { runs } = await runScenario(parseScenario(chain(), 'c'), {
      queues: ['linux-6.7'],
      record: () => recorder,
    });
    const waits = [...readTrace(recorder.toBytes()).events()].filter(({ type }) => type === 'rpc-wait');
    const [, holder, needed] = /call (\d+) [^:]*: its RPMB_FRAMES RPC: the eMMC needs call (\d+)/.exec(
      runs[0]?.explanation.join('\n') ?? '',
    ) ?? ['', '-', '-'];
    expect(waits.at(-1)).toMatchObject({ call: Number(holder), needs: Number(needed), through: 'agent' });
  });

  it('is distinguished from other waits in an RPC', async () => {
    const text = chain({ threads: 3 })
      .replace('emmc:', '  box: { kind: pseudo, commands: { take: [{ await: 5 }] } }\nemmc:')
      .replace('clients:', 'clients:\n  taker: { application: box, steps: [{ invoke: take }] }')
      .replace('count: 3', 'count: 2, start: 1ms');
    const { outcome, explanation } = await run(text, 'linux-6.7');
    expect(outcome).toBe('stuck');
    expect(explanation).toEqual([
      expect.stringMatching(/^Call \d+ \(taker, take\) waits for notification 5, which is never sent\.$/),
      // Two writers, and the message for the clock that one of them needs.
      '3 more calls wait with it.',
      expect.stringMatching(/^No system session was granted, of \d+ requested\.$/),
    ]);
  });

  it('deadlocks with one thread, because none can be reserved', async () => {
    const { outcome, explanation, systemSessions } = await run(chain({ threads: 1 }));
    expect([outcome, systemSessions]).toEqual(['deadlock', { asked: 2, granted: 0 }]);
    expect(explanation.join('\n')).toContain('2 of 2 system sessions refused');
  });

  it.each([1, 2, 3])('leaves nothing behind in any order, seed %d', async (seed) => {
    for (const board of boards) {
      const { broken } = await judgeRun(
        parseScenario(chain(board), 'c'),
        'hand-off',
        1,
        randomWalk(seed, { decisions: 0, events: 1 }, 0),
      );
      expect([...broken]).toEqual([]);
    }
  });
});

describe('an eMMC', () => {
  it('without a clock is always on', async () => {
    const { outcome, duration } = await run(`
title: always on
applications: { vault: { use: rpmb-storage } }
emmc: { rpmb: kernel, access: 1ms }
clients:
  one: { application: vault, steps: [{ invoke: write }] }
`);
    // Counter read twice, key programmed, block written.
    expect([outcome, duration]).toEqual(['finished', 4]);
  });
});

describe('enumeration of devices in a scenario', () => {
  it('lists the applications that are devices, and separately those that need a supplicant', async () => {
    const scenario = parseScenario(
      `
title: devices
applications:
  bus: { use: device-enumeration }
  crypto: { kind: pseudo, device: always, commands: {} }
  ftpm: { kind: user, device: with-supplicant, commands: {} }
  other: { kind: user, commands: {} }
clients: { tee-bus: { application: bus, kernel: true, steps: [{ invoke: list }] } }
`,
      'devices.yaml',
    );
    const running = scenarioApplications(
      scenario,
      new RunJournal(
        () => 0,
        () => 0,
      ),
    );
    const codes = [...running.values()].flatMap(({ code }) => code ?? []);
    const tee = await openTee({ trustedApplications: codes });
    const [client] = scenario.clients.values();
    if (client === undefined) throw new Error('no client');
    const port = await running.get('bus')?.open(tee.openKernelContext(), client);
    expect(await port?.invoke('list', 0)).toEqual([running.get('crypto')?.uuid]);
    expect(await port?.invoke('list-with-supplicant', 0)).toEqual([running.get('ftpm')?.uuid]);
    await tee.close();
  });
});

describe('an SCMI agent in a scenario', () => {
  it('can make calls on its own, one at a time per channel', async () => {
    const { clients } = await run(`
title: governor
secureWorld: { threads: 4 }
applications:
  scmi: { use: scmi, clocks: [cpu], compute: 1ms }
clients:
  governor: { application: scmi, kernel: true, callers: 3, steps: [{ invoke: cpu-on }, { invoke: cpu-off }] }
`);
    expect(clients).toMatchObject([{ calls: 6, failed: 0, p50: 3, max: 3 }]);
  });

  it('can also be used by a service of the scenario', async () => {
    const { outcome, clients } = await run(`
title: mixed
applications:
  ta: { kind: user, commands: { go: [{ rpc: rpmb }] } }
  scmi: { use: scmi, clocks: [clk], compute: 1ms }
services:
  rpmb: { steps: [{ invoke: { client: agent, command: clk-on } }] }
clients:
  one: { application: ta, count: 2, steps: [{ invoke: go }] }
  agent: { application: scmi, kernel: true, system: true, passive: true }
`);
    expect([outcome, clients[1]?.calls]).toEqual(['finished', 2]);
  });
});

describe('an application of the package', () => {
  it.each(['storage', 'counter'] as const)('%s supports all its commands', async (use) => {
    const steps = shippedCommands[use].map((command) => `{ invoke: ${command} }`).join(', ');
    const { outcome, clients } = await run(`
title: ${use}
applications: { ta: { use: ${use}, compute: 1ms } }
clients:
  one: { application: ta, count: 2, repeat: 3, steps: [${steps}] }
`);
    expect([outcome, clients[0]?.failed]).toEqual(['finished', 0]);
    expect(clients[0]?.calls).toBe(6 * shippedCommands[use].length);
    expect(clients[0]?.p50).toBeGreaterThanOrEqual(1);
  });

  it('with a wrong result fails the call', async () => {
    const forger = trustedApplication({
      ...counterTa,
      create: () => ({
        invokeCommand(call) {
          const out = call.memref(1);
          out.size = call.memref(0).read().length;
          out.write(new Uint8Array(out.size));
        },
      }),
    });
    const tee = await openTee({ trustedApplications: [forger] });
    const [client] = parseScenario(
      'title: t\napplications: { c: { use: counter } }\nclients: { one: { application: c, steps: [{ invoke: echo }] } }',
      't',
    ).clients.values();
    if (client === undefined) throw new Error('no client');
    const port = await runningShipped('counter', 0).open(tee.openContext(), client);
    await expect(port.invoke('echo', 1)).rejects.toMatchObject({ code: TeeResult.ERROR_CORRUPT_OBJECT });
    await tee.close();
  });
});
