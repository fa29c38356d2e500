import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { unmet } from '../../src/scenario/expectation.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import type { Scenario } from '../../src/scenario/scenario.js';
import type { Outcome } from '../../src/scenario/scenario-result.js';

const folder = resolve(import.meta.dirname, '../../scenarios');
const shipped = (name: string): Scenario => parseScenario(readFileSync(resolve(folder, name), 'utf8'), name);

/** What becomes of each under linux-6.7, patch-v6, linux-6.8 and hand-off. */
const outcomes: Readonly<Record<string, readonly Outcome[]>> = {
  'rpmb-scmi-deadlock.yaml': ['deadlock', 'finished', 'finished', 'finished'],
  'rpmb-scmi-no-system-session.yaml': ['deadlock', 'deadlock', 'deadlock', 'deadlock'],
  'ffa-scmi-deadlock.yaml': ['deadlock', 'deadlock', 'deadlock', 'finished'],
  'async-notifications.yaml': ['starved', 'starved', 'starved', 'finished'],
  'bottom-half-deadlock.yaml': ['deadlock', 'deadlock', 'deadlock', 'finished'],
  'devices-at-boot.yaml': ['starved', 'starved', 'starved', 'finished'],
  'cancel-without-thread.yaml': ['starved', 'starved', 'starved', 'finished'],
  'thread-starvation.yaml': ['starved', 'starved', 'starved', 'finished'],
  'v6-permanent-hang.yaml': ['finished', 'starved', 'finished', 'finished'],
  'one-thread-short.yaml': ['finished', 'starved', 'starved', 'finished'],
  'one-thread-lost.yaml': ['finished', 'starved', 'starved', 'finished'],
  'exhaustion-64-clients.yaml': ['starved', 'starved', 'starved', 'finished'],
  'supplicant-life.yaml': ['finished', 'finished', 'finished', 'finished'],
  'small-for-faults.yaml': ['finished', 'finished', 'finished', 'finished'],
  'client-death.yaml': ['finished', 'finished', 'finished', 'finished'],
};

describe('the scenarios of the package', () => {
  it('are all listed here', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
    expect(files.sort()).toEqual(Object.keys(outcomes).sort());
  });

  it.each(
    Object.entries(outcomes).flatMap(([name, expected]) =>
      // The seed that is used when none is given, and two others: what they show is not a matter of luck.
      [1, 2, 4_294_967_295].map((seed) => ({ name, seed, expected })),
    ),
  )('$name has the outcome that it describes, seed $seed', async ({ name, seed, expected }) => {
    const { runs } = await runScenario(shipped(name), { seed });
    expect(runs.map(({ queue }) => queue)).toEqual(['linux-6.7', 'patch-v6', 'linux-6.8', 'hand-off']);
    expect(runs.map(({ outcome }) => outcome)).toEqual(expected);
  });
});

describe('the scenarios that need a thread for relief calls', () => {
  it.each([
    ['bottom-half-deadlock.yaml', 'deadlock'],
    ['cancel-without-thread.yaml', 'starved'],
  ])('%s ends as under Linux if hand-off keeps no thread: %s', async (name, outcome) => {
    const { runs } = await runScenario({ ...shipped(name), reserve: false }, { queues: ['hand-off'] });
    expect(runs.map((run) => run.outcome)).toEqual([outcome]);
  });
});

describe('the scenarios of reports', () => {
  const reports = readdirSync(resolve(folder, 'reports')).map((name) => `reports/${name}`);

  it('are a dozen at least', () => expect(reports.length).toBeGreaterThanOrEqual(12));

  it.each(reports)(
    '%s names its source, expects its outcome, and has the same outcome with other seeds',
    async (name) => {
      const text = readFileSync(resolve(folder, name), 'utf8');
      expect(text).toMatch(/^# Source: https:\/\//);
      const scenario = shipped(name);
      expect(scenario.expect.every ?? [...scenario.expect.byQueue.keys()]).not.toEqual([]);
      for (const seed of [1, 2, 4_294_967_295]) {
        const { runs } = await runScenario(scenario, { seed });
        for (const run of runs) expect(unmet(scenario.expect, run.queue, run.outcome), `seed ${seed}`).toBeUndefined();
      }
    },
  );

  it.each([
    ['cancel-with-one-thread', { threads: '2' }],
    ['two-commands-of-one-instance', { single: 'false' }],
    ['secure-lock-order', { first: 'files', second: 'keys' }],
    ['many-threads-open-sessions', { threads: '12' }],
  ])('%s finishes with the remedy in its text: %j', async (name, set) => {
    const path = `reports/${name}.yaml`;
    const scenario = parseScenario(readFileSync(resolve(folder, path), 'utf8'), path, set);
    const { runs } = await runScenario(scenario);
    expect(runs.map(({ outcome }) => outcome)).toEqual(['finished', 'finished', 'finished', 'finished']);
  });
});

describe('the explanations', () => {
  const explained = async (name: string, queue: 'linux-6.7' | 'patch-v6' | 'linux-6.8' | 'hand-off') =>
    (await runScenario(shipped(name), { queues: [queue] })).runs[0]?.explanation.join('\n') ?? '';

  it('name the cycle: which calls hold which threads, what their RPCs wait for, and why others sleep', async () => {
    const text = await explained('rpmb-scmi-deadlock.yaml', 'linux-6.7');
    const message = '\\(scmi, (?:vmmc|emmc-clock)-(?:on|off) by PROCESS_MSG_CHANNEL\\)';
    const needed = new RegExp(`^Call (\\d+) ${message} sleeps because no thread is free, and .* all 3 threads`).exec(
      text,
    )?.[1];
    for (const thread of [0, 1, 2])
      expect(text).toMatch(new RegExp(`thread ${thread}: call \\d+ \\(storage \\d, write\\)`));
    const holder = new RegExp(
      `call (\\d+) \\(storage \\d, write\\): its RPMB_FRAMES RPC: the eMMC needs call ${needed} ${message}`,
    );
    const [, held] = holder.exec(text) ?? [];
    expect(text.match(new RegExp(`asleep in OP-TEE behind call ${held} \\(NOTIFICATION RPC\\)`, 'g'))).toHaveLength(2);
    expect(text).toMatch(/queue: .* when secure world answered ETHREAD_LIMIT/);
    expect(text).toContain('no system sessions: no thread is kept for scmi.');
  });

  it('name the components of the chain over FF-A: the supplicant, and SCMI in shared memory', async () => {
    const text = await explained('ffa-scmi-deadlock.yaml', 'linux-6.8');
    expect(text).toMatch(/its RPMB RPC: the eMMC needs call \d+ \(scmi, .* by PROCESS_SMT_CHANNEL_MESSAGE\)/);
    expect(text).toContain('2 of 2 system sessions refused');
  });

  it('say how a reservation prevented the deadlock', async () => {
    const text = await explained('rpmb-scmi-deadlock.yaml', 'linux-6.8');
    expect(text).toContain('2 of 2 system sessions granted: one thread is kept for their calls.');
    expect(text).toMatch(/\d+ of those calls used the reserved thread because all others were taken/);
  });

  it('say that no client requested a system session', async () => {
    const text = await explained('rpmb-scmi-no-system-session.yaml', 'linux-6.8');
    expect(text).toContain('scmi did not request a system session');
    expect(text).toContain('Tried: with `system: true` for scmi the same run finishes.');
    expect(text).toContain('no thread is left to claim (free_thread_count 0, sys_thread_req_count 0)');
  });

  it.each(['linux-6.7', 'patch-v6', 'linux-6.8'] as const)(
    'name the bottom half that gets no thread, under %s',
    async (queue) => {
      const text = await explained('bottom-half-deadlock.yaml', queue);
      const [, bottomHalf] = /^Call (\d+) \(kernel, bottom-half\) sleeps because no thread is free/.exec(text) ?? [];
      expect(text).toContain(`waits for notification 7, which call ${bottomHalf} would send`);
    },
  );

  it('name a lost wake-up', async () => {
    const text = await explained('thread-starvation.yaml', 'linux-6.8');
    expect(text).toMatch(
      /Call \d+ \(watchdog, feed\) took [23][.\d]* s: it slept .* while it could have used a free thread/,
    );
    expect(text).toMatch(
      /when call \d+ \(key-derivation, derive\) returned, .* woke call \d+ \(bulk-encryption, encrypt\)/,
    );
  });

  it('name the claim that prevents every wake-up', async () => {
    const text = await explained('v6-permanent-hang.yaml', 'patch-v6');
    expect(text).toMatch(/Call \d+ \(hello, say\) sleeps for ever although threads 0 and 1 are free/);
    expect(text).toContain('(free_normal_thread_count 0, res_sys_thread_count 1)');
  });

  it('name the ordinary call that a system call waited for: that of its shared memory', async () => {
    expect(await explained('devices-at-boot.yaml', 'linux-6.8')).toMatch(
      /slept 0 in the queue\.\nBefore it, ordinary calls to register its shared memory slept 19\d ms in the queue: a thread kept for system sessions/,
    );
  });

  it('count overtaking calls', async () => {
    expect(await explained('exhaustion-64-clients.yaml', 'linux-6.8')).toMatch(/\d{3,} later calls entered/);
  });
});

describe('the scenarios of faults', () => {
  const run = async (name: string) => {
    const { runs } = await runScenario(shipped(name), { queues: ['hand-off'] });
    const [first] = runs;
    if (first === undefined) throw new Error('no run');
    return first;
  };

  it('fail only calls whose request the supplicant had taken, and those of the kernel, which does not wait', async () => {
    const { explanation, clients, duration } = await run('supplicant-life.yaml');
    expect(explanation).toContain('The supplicant exited at 40 ms and restarted at 140 ms.');
    expect(explanation.filter((sentence) => sentence.includes('failed'))).toEqual([
      expect.stringMatching(/^[12] calls? of tool failed with TEEC_ERROR_COMMUNICATION\.$/),
      '1 call of daemon failed with TEEC_ERROR_COMMUNICATION.',
    ]);
    const [tool] = clients;
    expect(tool).toMatchObject({ calls: 30, unanswered: 0 });
    expect(duration).toBeLessThan(400);
  });

  it('release the TA of a dead client when it returns or its request is withdrawn', async () => {
    const { explanation, clients } = await run('client-death.yaml');
    expect(explanation).toContain('signer died at 100 ms; its resources were released 200 ms later.');
    // The tool that waits for the same lock may have it first, for its millisecond.
    expect(explanation).toContainEqual(
      expect.stringMatching(/^fetcher died at 700 ms; its resources were released (at once|1 ms later)\.$/),
    );
    expect(explanation).toContain('6 calls of vault-tool failed with TEEC_ERROR_BUSY.');
    const [, , vault, proxy] = clients;
    expect([vault?.calls, vault?.failed]).toEqual([14, 6]);
    // Until the fetcher died; from then on it is free.
    expect(proxy?.failed).toBeLessThan(5);
    expect((proxy?.calls ?? 0) + (proxy?.failed ?? 0)).toBe(10);
  });
});

describe('latency', () => {
  it.each([1, 2, 3])(
    'of a sample is at most two periods under hand-off, but not under Linux, seed %d',
    async (seed) => {
      const queues = ['linux-6.7', 'linux-6.8', 'hand-off'] as const;
      const { runs } = await runScenario(shipped('async-notifications.yaml'), { queues, seed });
      const [before, since, handOff] = runs.map(({ clients }) => clients[0]?.max ?? 0);
      expect(Math.min(before ?? 0, since ?? 0)).toBeGreaterThan(50);
      expect(handOff).toBeLessThan(20);
    },
  );

  it('of the slowest call is near the median under hand-off, but not under Linux', async () => {
    const { runs } = await runScenario(shipped('exhaustion-64-clients.yaml'), { queues: ['linux-6.8', 'hand-off'] });
    const [linux, handOff] = runs.map(({ clients }) => clients[0]);
    expect(linux?.calls).toBe(6400);
    expect((linux?.max ?? 0) / (linux?.p50 ?? 1)).toBeGreaterThan(100);
    expect((handOff?.max ?? 0) / (handOff?.p50 ?? 1)).toBeLessThan(5);
  });
});
