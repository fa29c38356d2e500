/** Promises about the calls that the driver makes of its own, and about clients that die, with the whole driver. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exploreScenario } from '../../../src/explore/driver/explore-scenario.js';
import type { FaultKind } from '../../../src/explore/driver/fault-choices.js';
import { DeathChecks } from '../../../src/explore/driver/properties/death-checks.js';
import { RUN_PROPERTY_NAMES } from '../../../src/explore/driver/properties/run-checks.js';
import type { CallWaiter, DisciplineName, QueueStep } from '../../../src/optee/call-queue/call-queue.js';
import type { CreateCallQueue } from '../../../src/optee/call-queue/disciplines.js';
import { HandOffCallQueue } from '../../../src/optee/call-queue/hand-off.js';
import { parseScenario } from '../../../src/scenario/file/scenario-file.js';
import { ScenarioRun } from '../../../src/scenario/run/scenario-run.js';

const text = (name: string) =>
  readFileSync(resolve(import.meta.dirname, '../../../scenarios/explore', `${name}.yaml`), 'utf8');

interface Settings {
  readonly queue?: DisciplineName;
  readonly kinds?: readonly FaultKind[];
  readonly maxRuns?: number;
  readonly createQueue?: CreateCallQueue;
  readonly change?: (file: string) => string;
}

async function broken(name: string, settings: Settings = {}) {
  const { queue = 'hand-off', kinds = [], maxRuns = 60, createQueue, change = (file) => file } = settings;
  const { properties } = await exploreScenario(parseScenario(change(text(name)), name), {
    ...{ queue, strategy: 'deviations', seed: 1, maxRuns, goOn: true },
    faults: { kinds, most: kinds.length === 0 ? 0 : 1 },
    ...(createQueue === undefined ? {} : { createQueue }),
  });
  const entries = RUN_PROPERTY_NAMES.flatMap((each) =>
    properties[each].verdict === 'broken' ? [[each, properties[each].what] as const] : [],
  );
  return Object.fromEntries(entries);
}

/** Relief calls are calls as any other, whatever the driver says of them. */
const unsorted: CreateCallQueue = (_, threads, reserve) =>
  new (class extends HandOffCallQueue {
    override enter(waiter: CallWaiter, system: boolean): QueueStep {
      return super.enter(waiter, system, false);
    }
  })(threads, 'one-in-all', reserve);

/** Others may have the thread that is kept for relief calls. */
const nothingKept: CreateCallQueue = (_, threads) => new HandOffCallQueue(threads, 'one-in-all', false);

describe('relief calls with the whole driver', () => {
  it.each(['cancel-beside-waiter', 'bottom-half-beside-waiter', 'bottom-half-with-reserve'])(
    '%s: all clients finish under hand-off, and no relief call waits behind others',
    async (name) => {
      expect(await broken(name)).toEqual({});
    },
  );

  it.each<[string, DisciplineName]>([
    ['cancel-beside-waiter', 'linux-6.7'],
    ['cancel-beside-waiter', 'linux-6.8'],
    ['bottom-half-beside-waiter', 'linux-6.7'],
    ['bottom-half-beside-waiter', 'linux-6.8'],
  ])('%s: %s lets a relief call wait, and with it the call that needs it', async (name, queue) => {
    expect(Object.keys(await broken(name, { queue, maxRuns: 5 })).sort()).toEqual(['finished', 'reliefGoesFirst']);
  });

  it('is a deadlock by lack of threads, not by the order of calls, if readers hold every thread', async () => {
    expect(Object.keys(await broken('bottom-half-with-reserve', { queue: 'linux-6.8' }))).toEqual(['finished']);
  });

  it('names the call that got the thread for which a relief call waited', async () => {
    const { reliefGoesFirst } = await broken('bottom-half-beside-waiter', { createQueue: unsorted, maxRuns: 5 });
    expect(reliefGoesFirst).toEqual([
      expect.stringMatching(/^call \d+ \(invoke\) was given a thread that call \d+ \(bottom-half\) waited for$/),
    ]);
  });

  it('names the call that got the thread kept for relief calls', async () => {
    const { reliefGoesFirst } = await broken('bottom-half-with-reserve', { createQueue: nothingKept, maxRuns: 5 });
    expect(reliefGoesFirst).toEqual([
      expect.stringMatching(/^call \d+ \(invoke\) was given the thread that is kept for relief calls$/),
    ]);
  });
});

describe('a thread kept for relief calls as a remedy', () => {
  const withoutReserve = (file: string) => file.replace('reserve: true', '');
  const tried = (what: readonly string[] | undefined) => what?.filter((line) => line.startsWith('Tried')) ?? [];

  it('is suggested if all clients finish with it', async () => {
    const { finished } = await broken('bottom-half-with-reserve', { change: withoutReserve, maxRuns: 30 });
    expect(tried(finished)).toEqual([
      'Tried: with `reserve: true`, a thread kept for relief calls, all clients finish in 30 runs.',
    ]);
  });

  it('is not suggested if it does not help or the queue does not support it', async () => {
    // With one thread there is none to keep.
    const one = (file: string) => withoutReserve(file).replace('threads: 2', 'threads: 1');
    const alone = await broken('bottom-half-with-reserve', { change: one, maxRuns: 10 });
    const linux = await broken('bottom-half-with-reserve', { change: withoutReserve, queue: 'linux-6.8' });
    for (const { finished } of [alone, linux]) {
      expect(finished?.[0]).toBe('deadlock');
      expect(tried(finished)).toEqual([]);
    }
  });
});

describe('a client that dies', () => {
  it.each(['dies-while-opening', 'dies-with-two-calls', 'dies-with-two-sessions'])(
    '%s: counts as exited when its calls have returned and its sessions are closed',
    async (name) => {
      expect(await broken(name, { kinds: ['client-death'], maxRuns: 120 })).toEqual({});
    },
  );

  const time = { time: 0 } as const;
  const begin = { type: 'call-begin', context: 'a', system: false, ...time } as const;
  const open = { type: 'session-open', context: 'a', uuid: 'vault', ...time } as const;

  function watched() {
    const said: string[] = [];
    const checks = new DeathChecks({
      died: (label) => label === 'a',
      closesItself: () => false,
      says: (property, what) => said.push(`${property}: ${what}`),
    });
    return { checks, said };
  }

  it('does not count as exited while its open-session call sleeps or a session is open', () => {
    const { checks, said } = watched();
    checks.listen({ ...begin, call: 1, purpose: 'open-session', session: 0 });
    checks.gone('a');
    checks.listen({ ...open, session: 7 });
    checks.listen({ type: 'call-end', call: 1, smcReturn: 0, ...time });
    checks.gone('a');
    expect(said).toEqual([
      'exitedAfterCalls: a counts as exited although its call 1 (open-session) has not returned',
      'exitedAfterCalls: a counts as exited although its session 7 is open',
    ]);
  });

  it('does not use a session that was opened after its death', () => {
    const { checks, said } = watched();
    checks.listen({ ...open, session: 7 });
    checks.listen({ ...begin, call: 2, purpose: 'invoke', session: 7 });
    expect(said).toEqual(['exitedAfterCalls: call 2 uses session 7, which was opened after its client a had died']);
  });
});

describe('messages in more than one page', () => {
  it.each<DisciplineName>(['hand-off', 'linux-6.8'])(
    '%s: a system call gets memory for its message although normal calls use all existing slots',
    async (queue) => {
      expect(await broken('messages-in-two-pages', { queue, maxRuns: 15 })).toEqual({});
    },
  );

  it('needs more than one page', async () => {
    const pages: string[] = [];
    const run = new ScenarioRun(parseScenario(text('messages-in-two-pages'), 'messages'), 'hand-off', 1, () => 0);
    run.trace.listen((event) => {
      if (event.type === 'call-begin' && event.purpose === 'register-shm')
        pages.push(event.system ? 'system' : 'normal');
    });
    await run.until(run.open());
    run.begin();
    await run.until(run.clients.work());
    // The first with the first session, another for a normal call, which sleeps, and one for the system call.
    expect(pages).toEqual(['normal', 'normal', 'system']);
  });
});
