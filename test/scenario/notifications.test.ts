import { describe, expect, it } from 'vitest';
import { randomWalk } from '../../src/explore/driver/decisions.js';
import { judgeRun } from '../../src/explore/driver/runs/judge-run.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import type { RunResult } from '../../src/scenario/scenario-result.js';

async function run(text: string): Promise<RunResult> {
  const [result] = (await runScenario(parseScenario(text, 'test.yaml'), { queues: ['hand-off'] })).runs;
  if (result === undefined) throw new Error('no run');
  return result;
}

const bottomHalf = (abi: 'smc' | 'ffa') => `
title: sensor
secureWorld: { threads: 2, abi: ${abi}, bottomHalf: [{ compute: 2ms }, { notify: 7 }] }
applications:
  sensor: { kind: pseudo, commands: { sample: [{ await: 7 }] } }
clients:
  interrupt: { start: 5ms, steps: [{ notify: bottom-half }] }
  reader: { application: sensor, steps: [{ invoke: sample }] }
`;

describe('a notification in a scenario', () => {
  it.each(['smc', 'ffa'] as const)('arrives with the bottom half that an interrupt requests, over %s', async (abi) => {
    const { outcome, clients } = await run(bottomHalf(abi));
    expect(outcome).toBe('finished');
    // The interrupt's source makes no calls, and is no client to report on.
    expect(clients).toMatchObject([{ name: 'reader', calls: 1, failed: 0, max: 7 }]);
  });

  it.each([1, 2, 3])('leaves nothing behind in any order, seed %d', async (seed) => {
    for (const abi of ['smc', 'ffa'] as const) {
      const { broken } = await judgeRun(
        parseScenario(bottomHalf(abi), 's'),
        'hand-off',
        1,
        randomWalk(seed, { decisions: 0, events: 1 }, 0),
      );
      expect([...broken]).toEqual([]);
    }
  });

  const directly = (more: string) => `
title: directly
secureWorld: { threads: 3 }
applications:
  mailbox:
    kind: pseudo
    concurrent: true
    commands:
      take: [{ await: 5 }]
      hurry: [{ await: { notification: 5, timeout: 20ms } }]
      put: [{ compute: 3ms }, { notify: 5 }]
clients:
${more}`;

  it('arrives directly from an interrupt handler', async () => {
    const { clients } = await run(
      directly(`  irq: { start: 8ms, steps: [{ notify: 5 }] }
  one: { application: mailbox, steps: [{ invoke: take }] }`),
    );
    expect(clients).toMatchObject([{ calls: 1, failed: 0, max: 8 }]);
  });

  it('arrives from another call, before or after the wait begins', async () => {
    const { outcome, clients } = await run(
      directly(`  early: { application: mailbox, steps: [{ invoke: put }] }
  taker: { application: mailbox, start: 10ms, repeat: 2, steps: [{ invoke: take }] }
  late: { application: mailbox, start: 17ms, steps: [{ invoke: put }] }`),
    );
    expect(outcome).toBe('finished');
    expect(clients[1]).toMatchObject({ name: 'taker', calls: 2, failed: 0, p50: 0, max: 10 });
  });

  it('is waited for until its timeout', async () => {
    const { outcome, explanation, clients } = await run(
      directly('  one: { application: mailbox, steps: [{ invoke: hurry }] }'),
    );
    expect([outcome, explanation]).toEqual(['finished', ['1 call of one failed with TEEC_ERROR_TIMEOUT.']]);
    expect(clients).toMatchObject([{ max: 20 }]);
  });

  it('has one waiter: a second is refused', async () => {
    const { explanation } = await run(
      directly(`  irq: { start: 8ms, steps: [{ notify: 5 }] }
  one: { application: mailbox, count: 2, steps: [{ invoke: take }] }`),
    );
    expect(explanation).toEqual(['1 call of one failed with TEEC_ERROR_BAD_PARAMETERS.']);
  });

  it('that no call sends is reported', async () => {
    const { outcome, explanation } = await run(directly('  one: { application: mailbox, steps: [{ invoke: take }] }'));
    expect(outcome).toBe('stuck');
    expect(explanation).toEqual([
      expect.stringMatching(/^Call \d+ \(one, take\) waits for notification 5, which is never sent\.$/),
    ]);
  });

  it('that only a call without a thread would send is a deadlock', async () => {
    const { outcome, explanation } = await run(
      directly(`  taker: { application: mailbox, steps: [{ invoke: take }] }
  putter: { application: mailbox, start: 1ms, steps: [{ invoke: put }] }`).replace('threads: 3', 'threads: 1'),
    );
    expect(outcome).toBe('deadlock');
    const [, putter] = /^Call (\d+) \(putter, put\) sleeps because no thread is free/.exec(explanation[0] ?? '') ?? [];
    expect(explanation[1]).toMatch(
      new RegExp(`thread 0: call \\d+ \\(taker, take\\): waits for notification 5, which call ${putter} would send`),
    );
  });
});

describe('a wait with a timeout', () => {
  it('is not part of a deadlock, because it ends by itself', async () => {
    const text = `
title: patience
limit: 10ms
secureWorld: { threads: 1 }
applications:
  mailbox:
    kind: pseudo
    concurrent: true
    commands: { hurry: [{ await: { notification: 5, timeout: 20ms } }], put: [{ notify: 5 }] }
clients:
  taker: { application: mailbox, steps: [{ invoke: hurry }] }
  putter: { application: mailbox, start: 1ms, steps: [{ invoke: put }] }
`;
    expect(await run(text)).toMatchObject({ outcome: 'cut-off', duration: 10 });
    // Given the time, the one is told so and the other gets in.
    expect(await run(text.replace('limit: 10ms', 'limit: 30ms'))).toMatchObject({
      outcome: 'finished',
      explanation: ['1 call of taker failed with TEEC_ERROR_TIMEOUT.'],
    });
  });
});

describe('the notifications of a scenario file', () => {
  const good = `title: good
secureWorld: { threads: 2, bottomHalf: [{ compute: 1ms }, { notify: 7 }] }
applications:
  ta: { kind: pseudo, commands: { go: [{ await: 7 }, { notify: 8 }, { await: { notification: 9, timeout: 1s } }] } }
clients:
  irq: { every: 1ms, repeat: forever, steps: [{ notify: bottom-half }, { notify: 63 }] }
  one: { application: ta, steps: [{ invoke: go }] }
`;

  it('are numbers with steps, timeouts in milliseconds', () => {
    const scenario = parseScenario(good, 'f.yaml');
    expect(scenario.secureWorld.bottomHalf).toEqual([
      { step: 'compute', time: { min: 1, max: 1 } },
      { step: 'notify', notification: 7 },
    ]);
    expect(scenario.applications.get('ta')).toMatchObject({ kind: 'pseudo' });
    expect(scenario.clients.get('irq')).toMatchObject({
      application: undefined,
      steps: [
        { step: 'notify', notification: 0 },
        { step: 'notify', notification: 63 },
      ],
    });
  });

  const whole = 'a whole number from 1 to 63';
  it.each<[string, string, string]>([
    ['await: 7', 'await: 0', `applications.ta.commands.go[0].await: expected ${whole}`],
    ['await: 7', 'await: 64', `applications.ta.commands.go[0].await: expected ${whole}`],
    [
      'await: 7',
      'await: soon',
      `applications.ta.commands.go[0].await: expected ${whole}, or { notification, timeout }`,
    ],
    ['timeout: 1s', 'timeout: 0ms', 'applications.ta.commands.go[2].await.timeout: expected a time longer than zero'],
    ['notify: 8', 'notify: 64', `applications.ta.commands.go[1].notify: expected ${whole}`],
    ['notify: 8', 'notify: bottom-half', `applications.ta.commands.go[1].notify: expected ${whole}`],
    ['notify: 7', 'notify: 0', `secureWorld.bottomHalf[1].notify: expected ${whole}`],
    ['compute: 1ms', 'wait: 1ms', 'secureWorld.bottomHalf[0].wait: no such field; a step of a bottom half has compute'],
    ['notify: 63', 'notify: 0', `clients.irq.steps[1].notify: expected ${whole}`],
    ['notify: 63', 'notify: [63]', `clients.irq.steps[1].notify: expected bottom-half, or ${whole}`],
    ['notify: 63', 'invoke: go', 'clients.irq.application: is missing; expected a name: only a client with'],
    ['every: 1ms', 'passive: true', 'clients.irq.application: is missing; expected a name'],
    ['every: 1ms', 'kernel: true, every: 1ms', 'clients.irq.kernel: a client without an application has no kernel'],
    [
      'every: 1ms',
      'deadline: 1ms, every: 1ms',
      'clients.irq.deadline: a client without an application has no deadline',
    ],
    ['every: 1ms, ', '', 'clients.irq.repeat: these steps may repeat for ever without taking time'],
    ['threads: 2', 'abi: ffa', 'clients.irq.steps[1].notify: over FF-A OP-TEE has one notification: bottom-half'],
  ])('with %j as %j says what is wrong with them', (part, by, expected) => {
    expect(good).toContain(part);
    expect(() => parseScenario(good.replace(part, by), 'f.yaml')).toThrow(expected);
  });
});
