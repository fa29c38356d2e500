import { describe, expect, it } from 'vitest';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { jsonReport } from '../../src/scenario/report/json-report.js';
import { type RunScenarioOptions, runScenario } from '../../src/scenario/run-scenario.js';
import type { RunResult } from '../../src/scenario/scenario-result.js';

const run = (text: string, options: RunScenarioOptions = {}) =>
  runScenario(parseScenario(text, 'test.yaml'), { queues: ['hand-off'], ...options });

async function only(text: string, options: RunScenarioOptions = {}): Promise<RunResult> {
  const [result, ...others] = (await run(text, options)).runs;
  if (result === undefined || others.length > 0) throw new Error('not one run');
  return result;
}

/** Two threads, clients that come at drawn times. */
const busy = `
title: busy
preemption: 0us..10us
applications:
  ta: { kind: user, commands: { go: [{ compute: 10us..90us }, { rpc: fs }] } }
services:
  fs: { steps: [{ wait: 20us..50us }] }
clients:
  one: { application: ta, count: 4, repeat: 20, steps: [{ invoke: go }, { wait: 0us..40us }] }
`;

/** One thread, one call: everything about it is known. */
const single = (more = '') => `
title: single
secureWorld: { threads: 1 }
applications:
  ta: { kind: user, commands: { go: [{ compute: 3ms }, { wait: 5ms }, { rpc: fs }, { compute: 1ms }], now: [] } }
services:
  fs: { exclusive: true, steps: [{ wait: 2ms }] }
clients:
  one: { application: ta, repeat: 2, steps: [{ invoke: go }] }
${more}`;

describe('a run', () => {
  it('ends if all finite clients were refused a session, and reports the errors', async () => {
    const { outcome, duration, explanation } = await only(`
title: nobody is left who ends
applications:
  ta: { kind: user, commands: { go: [] } }
  pta: { kind: pseudo, commands: { go: [{ compute: 1ms }] } }
clients:
  once: { application: ta, kernel: true, steps: [{ invoke: go }] }
  always: { application: pta, repeat: forever, steps: [{ invoke: go }] }
faults: { supplicant: absent }
`);
    expect([outcome, duration]).toEqual(['finished', 0]);
    expect(explanation).toEqual(['1 call of once failed with TEEC_ERROR_COMMUNICATION.']);
  });

  it('is the same for the same seed, in every byte', async () => {
    const twice = await Promise.all([1, 2].map(() => run(busy, { seed: 5, queues: ['linux-6.8', 'hand-off'] })));
    expect(JSON.stringify(twice[0])).toBe(JSON.stringify(twice[1]));
  });

  it('differs for another seed', async () => {
    const [one, other] = await Promise.all([5, 6].map((seed) => only(busy, { seed })));
    expect(one?.threads).not.toEqual(other?.threads);
  });

  it.each([-1, 1.5, 2 ** 32, Number.NaN])('refuses seed %d', async (seed) => {
    await expect(run(busy, { seed })).rejects.toThrow(RangeError);
  });

  it('takes the sum of the times of its steps', async () => {
    const { outcome, duration, clients, threads } = await only(single());
    expect(outcome).toBe('finished');
    expect(duration).toBe(22);
    expect(clients).toMatchObject([{ name: 'one', calls: 2, unanswered: 0, p50: 11, p99: 11, max: 11 }]);
    expect(threads).toEqual([
      [
        { time: 0, use: 'free' },
        { time: 0, use: 'secure' },
        { time: 3, use: 'rpc' },
        { time: 10, use: 'secure' },
        { time: 11, use: 'free' },
        { time: 11, use: 'secure' },
        { time: 14, use: 'rpc' },
        { time: 21, use: 'secure' },
        { time: 22, use: 'free' },
      ],
    ]);
    // Shares are told to nine places: a sum of them is not 1.0000000000000002.
    const share = { secure: 0.363636364, rpc: 0.636363636, free: 0 };
    expect(jsonReport(await run(single()))).toMatchObject({ seed: 1, runs: [{ threads: [share] }] });
  });

  it('reports its progress', async () => {
    const told: number[] = [];
    await run(single(), {
      onProgress: ({ queue, run, runs, calls }) => {
        expect([queue, run, runs]).toEqual(['hand-off', 1, 1]);
        told.push(calls);
      },
    });
    expect(told.at(-1)).toBe(2);
  });

  it('ends at its limit, with the calls that are unanswered then', async () => {
    const { outcome, duration, clients, explanation } = await only(single('limit: 12ms'));
    expect([outcome, duration]).toEqual(['cut-off', 12]);
    expect(clients[0]).toMatchObject({ calls: 1, unanswered: 1 });
    expect(explanation).toEqual(['one had not finished at the limit of 12 ms: 1 of 2 calls answered, 1 waiting.']);
  });

  it('ends when the finite clients are done, even if others continue', async () => {
    const text = single().replace(
      'clients:',
      'clients:\n  more: { application: ta, repeat: forever, every: 1ms, steps: [{ invoke: now }] }',
    );
    const { outcome, clients } = await only(text);
    expect(outcome).toBe('finished');
    expect(clients.find(({ name }) => name === 'one')).toMatchObject({ calls: 2, unanswered: 0 });
  });

  it('continues to its limit if no client is finite', async () => {
    const { outcome, duration, clients } = await only(
      single('limit: 1s').replace('repeat: 2', 'repeat: forever, every: 100ms'),
    );
    expect([outcome, duration, clients[0]?.calls]).toEqual(['finished', 1000, 10]);
  });

  it('is starved if a call misses its deadline', async () => {
    const { outcome, clients, explanation } = await only(single().replace('repeat: 2,', 'repeat: 2, deadline: 10ms,'));
    expect([outcome, clients[0]?.late]).toEqual(['starved', 2]);
    expect(explanation[0]).toBe('2 of 2 calls of one took longer than their deadline of 10 ms.');
  });

  it('is starved if a call sleeps although a thread is free, even if others continue', async () => {
    const text = `
title: swallowed
limit: 2s
applications:
  ta: { kind: user, commands: { long: [{ compute: 1min }], short: [{ compute: 20ms }] } }
clients:
  long: { application: ta, repeat: forever, every: 1s, steps: [{ invoke: long }] }
  short: { application: ta, start: 10ms, steps: [{ invoke: short }] }
  sleeper: { application: ta, repeat: forever, start: 20ms, every: 1s, steps: [{ invoke: short }] }
  later: { application: ta, start: 3s, steps: [{ invoke: short }] }
`;
    const { outcome, explanation } = await only(text, { queues: ['linux-6.8'] });
    expect(outcome).toBe('starved');
    expect(explanation.slice(0, 2)).toEqual([
      expect.stringMatching(/^Call \d+ \(sleeper, short\) has slept 1\.97 s although thread 1 is free/),
      expect.stringMatching(/^Lost wake-up: when call \d+ \(short, short\) returned, at 30 ms, .* \(long, long\)/),
    ]);
    const { clients } = await only(text);
    expect(clients.find(({ name }) => name === 'sleeper')).toMatchObject({ calls: 2, unanswered: 0, max: 30 });
  });

  it('lets a passive client make one call at a time', async () => {
    const { outcome, clients } = await only(`
title: channel
secureWorld: { threads: 4 }
applications:
  ta: { kind: user, commands: { go: [{ rpc: rpmb }] } }
  scmi: { kind: pseudo, concurrent: true, commands: { clock: [{ compute: 1ms }] } }
services:
  rpmb: { steps: [{ invoke: { client: channel, command: clock } }] }
clients:
  one: { application: ta, count: 3, steps: [{ invoke: go }] }
  channel: { kernel: true, system: true, passive: true, application: scmi }
`);
    expect(outcome).toBe('finished');
    expect(clients).toMatchObject([
      { p50: 2, max: 3 },
      { name: 'channel', calls: 3, max: 1 },
    ]);
  });

  it('reports a refused reservation', async () => {
    const { outcome, explanation, systemSessions } = await only(`
title: one thread
secureWorld: { threads: 1 }
applications:
  ta: { kind: user, commands: { go: [{ rpc: rpmb }] } }
  scmi: { kind: pseudo, concurrent: true, commands: { clock: [{ compute: 1ms }] } }
services:
  rpmb: { steps: [{ invoke: { client: channel, command: clock } }] }
clients:
  one: { application: ta, steps: [{ invoke: go }] }
  channel: { kernel: true, system: true, passive: true, application: scmi }
`);
    expect(outcome).toBe('deadlock');
    expect(systemSessions).toEqual({ asked: 1, granted: 0 });
    expect(explanation.at(-1)).toContain('1 of 1 system sessions refused');
  });

  it('detects a deadlock of some calls while others continue', async () => {
    const { outcome, duration } = await only(`
title: beside
limit: 1s
secureWorld: { threads: 3 }
applications:
  ta: { kind: user, commands: { go: [{ rpc: rpmb }], tick: [{ compute: 1ms }] } }
services:
  rpmb: { exclusive: true, steps: [{ invoke: { client: channel, command: go } }] }
clients:
  one: { application: ta, steps: [{ invoke: go }] }
  channel: { passive: true, application: ta }
  ticker: { application: ta, repeat: forever, every: 10ms, steps: [{ invoke: tick }] }
`);
    expect([outcome, duration]).toEqual(['deadlock', 1000]);
  });
});

describe('faults', () => {
  it('an RPC that is never answered keeps its thread and its client', async () => {
    const { outcome, explanation, threads, clients } = await only(
      single('faults: { unanswered: [{ rpc: fs, nth: 2 }] }'),
    );
    expect(outcome).toBe('stuck');
    expect(explanation).toEqual([expect.stringMatching(/^Call \d+ \(one, go\): its FS RPC is never answered\.$/)]);
    expect(clients[0]).toMatchObject({ calls: 1, unanswered: 1 });
    expect(threads[0]?.at(-1)).toMatchObject({ use: 'rpc' });
  });

  it('an application that panics fails its call, and no other client', async () => {
    const { outcome, explanation, clients } = await only(
      `${busy}faults: { panics: [{ application: ta, command: go, nth: 3 }] }`,
    );
    expect(outcome).toBe('finished');
    expect(explanation).toEqual(['1 call of one failed with TEEC_ERROR_TARGET_DEAD.']);
    expect(clients[0]).toMatchObject({ failed: 1, unanswered: 0 });
    expect(clients[0]?.calls).toBeGreaterThanOrEqual(61);
  });

  it('a pseudo-TA that panics ends secure world', async () => {
    const { outcome, explanation, clients } = await only(`
title: panic
applications:
  pta: { kind: pseudo, commands: { go: [{ compute: 1ms }, { rpc: fs }] } }
services:
  fs: { steps: [{ wait: 1ms }] }
clients:
  one: { application: pta, count: 3, repeat: 5, steps: [{ invoke: go }] }
faults: { panics: [{ application: pta, command: go, nth: 4 }] }
`);
    // Every call gets an answer all the same, also those that were inside or asleep.
    expect(outcome).toBe('finished');
    expect(clients[0]).toMatchObject({ unanswered: 0, failed: 3 });
    expect(explanation).toEqual(['3 calls of one failed with TEEC_ERROR_COMMUNICATION.']);
  });

  it('without a supplicant no application can be loaded', async () => {
    const { outcome, explanation } = await only(single('faults: { supplicant: absent }'));
    expect(outcome).toBe('stuck');
    expect(explanation).toEqual([
      'Not all sessions could be opened.',
      expect.stringContaining('its LOAD_TA RPC is not answered, and there is no supplicant'),
    ]);
  });

  it('a late answer is late by its time, and one given twice changes nothing', async () => {
    const { clients, explanation, outcome } = await only(
      single('faults: { late: [{ rpc: fs, nth: 1, by: 100ms }], duplicated: [{ rpc: fs, nth: 2 }] }'),
    );
    expect([outcome, explanation]).toEqual(['finished', []]);
    expect(clients[0]).toMatchObject({ calls: 2, failed: 0, p50: 11, max: 111 });
  });

  it('a corrupted answer is an error of the call that made the request', async () => {
    const { outcome, clients, explanation } = await only(`${busy}faults: { corrupted: [{ rpc: fs, nth: 3 }] }`);
    expect(outcome).toBe('finished');
    expect(explanation).toEqual(['1 call of one failed with 0x5eed0bad.']);
    expect(clients[0]).toMatchObject({ failed: 1, unanswered: 0 });
  });

  it('a supplicant that never returns is named as what calls wait for', async () => {
    const { outcome, explanation } = await only(single('faults: { supplicant: { leaves: 12ms } }'));
    expect(outcome).toBe('stuck');
    expect(explanation).toEqual([
      expect.stringMatching(/^Call \d+ \(one, go\): its FS RPC waits for a supplicant, and there is no supplicant\.$/),
      'The supplicant exited at 12 ms, for good.',
    ]);
  });

  it('a client that dies makes no more calls, and the run does not wait for it', async () => {
    const { outcome, duration, explanation, clients } = await only(
      `${busy}faults: { deaths: [{ client: one, number: 3, at: 500us }] }`,
    );
    expect(outcome).toBe('finished');
    expect(explanation[0]).toMatch(/^one 3 died at 500 us; its resources were released /);
    expect(clients[0]?.calls).toBeGreaterThan(60);
    expect(clients[0]?.calls).toBeLessThan(80);
    expect(duration).toBeLessThan(100);
  });

  it('lost threads are learnt by hand-off: all clients finish with the remaining one', async () => {
    const three = busy.replace('applications:', 'secureWorld: { threads: 3 }\napplications:');
    const { outcome, explanation, clients } = await only(`${three}faults: { lostThreads: [100us, 200us] }`);
    expect([outcome, explanation]).toEqual(['finished', ['Secure world lost 2 threads.']]);
    expect(clients[0]).toMatchObject({ calls: 80, failed: 0 });
  });

  it('interrupts preempt computing threads', async () => {
    const { threads, clients } = await only(single('faults: { interrupts: 1ms }'));
    expect(clients[0]).toMatchObject({ calls: 2, max: 11 });
    expect(threads[0]?.length).toBeGreaterThan(9);
  });

  it('a secure world that announces too many threads costs time, but fails no call', async () => {
    const short = busy.replace('applications:', 'secureWorld: { threads: 1, announced: 3 }\napplications:');
    expect(await only(short)).toMatchObject({ outcome: 'finished', clients: [{ calls: 80, unanswered: 0 }] });
  });

  it('the capacity of a secure world that announces no threads is learnt', async () => {
    const silent = busy.replace('applications:', 'secureWorld: { announced: 0 }\napplications:');
    expect(await only(silent)).toMatchObject({ outcome: 'finished', clients: [{ calls: 80, unanswered: 0 }] });
  });

  it('a client with a session per round continues after a failed round', async () => {
    const tool = single('faults: { corrupted: [{ rpc: fs, nth: 1 }] }').replace(
      'application: ta, repeat: 2',
      'application: ta, session: each-round, sharedMemory: 8192, repeat: 3',
    );
    const { outcome, clients, duration } = await only(tool);
    expect(outcome).toBe('finished');
    expect(clients[0]).toMatchObject({ calls: 3, failed: 1 });
    expect(duration).toBe(32);
  });

  it('a refused session does not affect other clients', async () => {
    const { outcome, explanation, clients } = await only(
      busy.replace('kind: user', 'kind: user, singleInstance: true'),
    );
    expect(outcome).toBe('finished');
    expect(explanation).toEqual(['3 calls of one failed with TEEC_ERROR_BUSY.']);
    expect(clients[0]).toMatchObject({ calls: 20, failed: 3 });
  });
});
