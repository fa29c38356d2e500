import { describe, expect, it } from 'vitest';
import { replayTrace } from '../../../src/conform/replay-trace.js';
import { parseTraceFile } from '../../../src/conform/trace-file.js';
import { writeTrace } from '../../../src/conform/write-trace.js';
import { type Exploration, explore } from '../../../src/explore/queue/explore.js';
import { parseCallers } from '../../../src/explore/queue/model/callers-notation.js';
import { configurations, underDiscipline } from '../../../src/explore/queue/model/configurations.js';
import { PROPERTY_NAMES, type PropertyName } from '../../../src/explore/queue/properties/properties.js';
import type { CallWaiter, DisciplineName } from '../../../src/optee/call-queue/call-queue.js';
import { HandOffCallQueue } from '../../../src/optee/call-queue/hand-off.js';
import { Linux68CallQueue } from '../../../src/optee/call-queue/linux-6.8.js';

const LINUX = ['linux-6.7', 'patch-v6', 'linux-6.8'] as const;
const HAND_OFF = ['hand-off', 'hand-off-a', 'hand-off-c'] as const;

/** threads announced, threads there, reservations, callers. */
type Setting = readonly [number, number, number, string];

function configuration(discipline: DisciplineName, [threads, secure, reservations, callers]: Setting) {
  return {
    discipline,
    totalThreadCount: threads,
    secureThreads: secure,
    initialSystemSessions: reservations,
    ...parseCallers(callers),
  };
}

const run = (discipline: DisciplineName, setting: Setting) => explore(configuration(discipline, setting));

function broken({ properties }: Exploration): Partial<Record<PropertyName, number | null>> {
  const names = PROPERTY_NAMES.filter((name) => properties[name].verdict === 'broken');
  return Object.fromEntries(names.map((name) => [name, properties[name].steps]));
}

describe('the shortest schedules of the known defects are found without hints', () => {
  it.each<[string, DisciplineName, Setting, PropertyName, number]>([
    ['a swallowed wake-up', 'linux-6.7', [0, 2, 0, '3*N'], 'normalSleepsBesideFreeThread', 11],
    ['a swallowed wake-up', 'patch-v6', [2, 2, 0, '3*N'], 'normalSleepsBesideFreeThread', 10],
    ['a swallowed wake-up', 'linux-6.8', [2, 2, 0, '3*N'], 'normalSleepsBesideFreeThread', 10],
    ['a hang with an honest secure world', 'patch-v6', [2, 2, 1, 'N,2*S'], 'lostWakeUp', 13],
    ['a hang with a secure world one short', 'patch-v6', [2, 1, 1, 'N,S'], 'lostWakeUp', 8],
    ['a hang with a secure world one short', 'linux-6.8', [2, 1, 1, '3*N,S'], 'lostWakeUp', 18],
    ['a hang with a secure world one short', 'linux-6.8', [2, 1, 1, '2*N,S+S'], 'lostWakeUp', 18],
    ['queue jumping', 'linux-6.8', [1, 1, 0, 'N*,N*'], 'unboundedOvertaking', 12],
    ['queue jumping', 'patch-v6', [1, 1, 0, 'N*,N*'], 'unboundedOvertaking', 12],
    ['one reservation for two system sessions', 'linux-6.8', [3, 3, 2, '2*N>3,S>3,S1'], 'capacityDeadlock', 11],
    ['no reservation with a single thread', 'linux-6.8', [1, 1, 1, 'N>1,S'], 'capacityDeadlock', 5],
    ['no reservation with a single thread', 'patch-v6', [1, 1, 1, 'N>1,S'], 'capacityDeadlock', 5],
    ['a system call asleep beside a free thread', 'linux-6.8', [2, 2, 1, 'N,2*S'], 'systemSleepsBesideFreeThread', 10],
    ['a system call asleep beside a free thread', 'patch-v6', [3, 2, 1, 'N,2*S'], 'systemSleepsBesideFreeThread', 11],
    ['a deadlock beside a free thread', 'linux-6.7', [0, 2, 0, '2*N>2,2*N'], 'dependencyDeadlock', 14],
    ['a deadlock beside a free thread', 'patch-v6', [2, 2, 1, 'S>1,2*N'], 'dependencyDeadlock', 10],
    ['a deadlock by capacity', 'linux-6.8', [0, 2, 0, '2*N>2,2*N'], 'capacityDeadlock', 12],
    ['a counter below zero', 'patch-v6', [2, 2, 0, '2*N,M+S+C'], 'counterOutOfRange', 5],
    ['a reserve unused', 'patch-v6', [3, 3, 2, 'N,S1,S,S1'], 'systemSleepsReserveUnused', 14],
  ])('%s: %s %j breaks %s in %i steps', async (_what, discipline, setting, name, steps) => {
    expect(broken(await run(discipline, setting))[name]).toBe(steps);
  });
});

describe('a schedule that breaks a property', () => {
  it.each<[DisciplineName, Setting, PropertyName]>([
    ['patch-v6', [2, 2, 1, 'N,2*S'], 'lostWakeUp'],
    ['linux-6.8', [2, 1, 1, '2*N,S+S'], 'lostWakeUp'],
    ['linux-6.7', [0, 2, 0, '2*N>2,2*N'], 'dependencyDeadlock'],
    ['linux-6.8', [2, 2, 1, 'N*,N*,S*'], 'unboundedOvertaking'],
    ['hand-off', [3, 3, 2, '2*N>3,S>3,S1'], 'capacityDeadlock'],
  ])('of %s is reproduced from its trace file', async (discipline, setting, name) => {
    const config = configuration(discipline, setting);
    const { schedule } = (await explore(config)).properties[name];
    const actors = schedule.map(({ actor }) => actor);
    const trace = parseTraceFile(writeTrace(config, actors, name));
    expect(replayTrace(trace)).toBeUndefined();
    expect(trace.steps.map(({ op }) => op)).toEqual(schedule.map(({ op }) => op));
  });

  it('of unbounded overtaking is a loop in which the overtaken caller never enters', async () => {
    const { schedule, repeatsFrom } = (await run('linux-6.8', [1, 1, 0, 'N*,N*'])).properties.unboundedOvertaking;
    const before = schedule[(repeatsFrom ?? 0) - 1];
    expect(schedule.at(-1)?.state).toEqual(before?.state);
    const inside = schedule.slice(repeatsFrom).filter(({ op }) => op === 'smc');
    expect(new Set(inside.map(({ actor }) => actor)).size).toBe(1);
  });
});

describe('hand-off', () => {
  // Those of the whole table that take no longer than a moment; `npm run explore:all` does the rest.
  const small = configurations().filter(({ callers }) => (callers.match(/[NS]/g) ?? []).length <= 3);

  it.each(HAND_OFF)(`%s violates no property in ${small.length} configurations`, async (discipline) => {
    for (const each of small) {
      const { bound, properties } = await explore(underDiscipline(each, discipline));
      expect(bound).toBeNull();
      for (const name of PROPERTY_NAMES) {
        // Calls that need each other can fill every thread there is; no queue helps that.
        if (name === 'capacityDeadlock') continue;
        expect({ ...each, name, verdict: properties[name].verdict }).toMatchObject({ verdict: 'holds' });
      }
    }
  });

  it('never deadlocks on a system call for which a thread is reserved, under any policy', async () => {
    for (const discipline of HAND_OFF) {
      for (const callers of ['2*N>2,S', '3*N>3,S', '2*N>2,S,N']) {
        expect(broken(await run(discipline, [2, 2, 1, callers]))).toEqual({});
      }
    }
  });

  it.each(['X', 'B', 'U', 'C', 'Nr1+X', 'X+B+U'])(
    'keeps a thread for the calls that others wait for: %s',
    async (relief) => {
      for (const discipline of HAND_OFF) {
        for (const threads of [2, 3]) {
          const config = configuration(discipline, [threads, threads, 0, `${threads + 1}*N>${threads + 1},${relief}`]);
          const without = await explore(config);
          expect(Object.keys(broken(without))).toEqual(['capacityDeadlock']);
          const kept = await explore({ ...config, reserve: true });
          // A relief call that comes after an ordinary one of its caller still needs a thread for that.
          expect(Object.keys(broken(kept))).toEqual(relief.startsWith('N') ? ['capacityDeadlock'] : []);
        }
      }
    },
  );

  it('keeps a thread for a cancellation beside that for system calls', async () => {
    for (const discipline of HAND_OFF) {
      const config = configuration(discipline, [3, 3, 1, '2*N>4,N,S>4,X1']);
      expect(broken(await explore({ ...config, reserve: true }))).toEqual({});
      expect(broken(await explore(config))).toHaveProperty('capacityDeadlock');
    }
  });

  it('registers memory for a system session by a system call, and Linux by a normal one', async () => {
    for (const discipline of HAND_OFF) expect(broken(await run(discipline, [2, 2, 1, '2*N>2,R+S']))).toEqual({});
    expect(broken(await run('linux-6.8', [2, 2, 1, '2*N>2,R+S']))).toHaveProperty('capacityDeadlock');
  });

  it.each(LINUX)('lets relief calls go before others, which %s does not', async (linux) => {
    const setting: Setting = [linux === 'linux-6.7' ? 0 : 2, 2, 0, '3*N,X'];
    expect(broken(await run(linux, setting))).toHaveProperty('reliefWaitsBehindOthers');
    for (const discipline of HAND_OFF) expect(broken(await run(discipline, setting))).toEqual({});
  });

  it('writes relief calls and the thread kept for them into trace files', async () => {
    const config = { ...configuration('hand-off', [2, 2, 0, 'N>2,N,B']), reserve: true };
    const schedule = [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 0, 0];
    const text = writeTrace(config, schedule, 'a bottom half beside two calls');
    expect(text).toContain('"own":"bottom-half"');
    expect(text).toContain('"relief_waiters":[]');
    expect(replayTrace(parseTraceFile(text))).toBeUndefined();
    expect(replayTrace(parseTraceFile(text.replace('"reserve":1', '"reserve":0')))).toBeDefined();
  });

  it('passes nested system calls under policy C alone', async () => {
    const nested: Setting = [3, 3, 2, '2*N>3,S>3,S1'];
    expect(broken(await run('hand-off', nested))).toHaveProperty('capacityDeadlock');
    expect(broken(await run('hand-off-a', nested))).toHaveProperty('capacityDeadlock');
    expect(broken(await run('hand-off-c', nested))).toEqual({});
  });
});

describe('the search', () => {
  it.each([...LINUX, ...HAND_OFF])('%s: merging identical callers changes no verdict and no length', async (name) => {
    for (const setting of [
      [2, 2, 1, '2*N,2*S'],
      [2, 1, 1, '3*N,S'],
      [0, 2, 0, '2*N>2,2*N'],
      [3, 3, 2, '2*N>3,S>3,S1'],
      [2, 2, 0, '2*N,M+S+C'],
    ] as const) {
      const folded = await run(name, setting);
      const whole = await explore(configuration(name, setting), { symmetric: false });
      expect(folded.states).toBeLessThan(whole.states);
      expect(broken(folded)).toEqual(broken(whole));
    }
  });

  it('finds as many states as SPIN does in the same model of Linux 6.8', async () => {
    const states = async (setting: Setting) =>
      (await explore(configuration('linux-6.8', setting), { symmetric: false })).states;
    expect(await states([2, 1, 1, '3*N,S'])).toBe(4535);
    expect(await states([2, 2, 1, '3*N,2*S'])).toBe(48_796);
  });

  it.each(LINUX)('%s: a wake-up while another caller is leaving adds states, but no violations', async (name) => {
    for (const setting of [
      [2, 2, 1, '2*N,2*S'],
      [2, 1, 1, '2*N,S+S'],
      [0, 2, 0, '4*N'],
    ] as const) {
      const config = configuration(name, setting);
      const [coarse, fine] = [await explore(config), await explore({ ...config, fine: true })];
      expect(fine.states).toBeGreaterThan(coarse.states);
      // A schedule in which a caller passes its own completion on is one step longer.
      expect(Object.keys(broken(fine))).toEqual(Object.keys(broken(coarse)));
    }
  });

  it('reports `bounded` and not `holds` if a limit ended it', async () => {
    const bounded = await explore(configuration('linux-6.8', [2, 1, 1, '3*N+N,S+S']), { maxStates: 10 });
    expect(bounded.bound).toBe('states');
    expect(new Set(Object.values(bounded.properties).map(({ verdict }) => verdict))).not.toContain('holds');
  });

  it('stops on request, and returns its results so far', async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    const { bound, states } = await explore(configuration('linux-6.8', [2, 2, 1, '3*N+N,2*S+S']), {
      signal: interrupt.signal,
    });
    expect(bound).toBe('interrupted');
    expect(states).toBeGreaterThan(0);
  });

  it('reports a queue that loses count, also with repeating callers', async () => {
    class LosesCount extends HandOffCallQueue {
      override release(): void {}
      override leave(waiter: CallWaiter): void {
        if (waiter.system) waiter.system = false;
        super.leave(waiter);
      }
    }
    const { properties } = await explore(configuration('hand-off', [2, 1, 1, 'N*,N*,S*']), {
      createQueue: () => new LosesCount(2, 'one-in-all'),
    });
    expect(properties.conservation.verdict).toBe('broken');
  });

  it.each([...LINUX, ...HAND_OFF])(
    '%s: repeating an operation gives as many states and the same verdicts as operations with the same effect',
    async (name) => {
      for (const symmetric of [true, false]) {
        // Session 1 is not a system session, so S1 has the effect of N.
        const same = await explore(configuration(name, [2, 1, 1, '2*N+N+N,S+S']), { symmetric });
        const alike = await explore(configuration(name, [2, 1, 1, '2*N+S1+N,S+S']), { symmetric });
        const { states, transitions, depth } = same;
        expect({ states, transitions, depth }).toEqual({
          states: alike.states,
          transitions: alike.transitions,
          depth: alike.depth,
        });
        expect(broken(same)).toEqual(broken(alike));
      }
    },
  );

  it('refuses a queue whose steps depend on data that is not stored', async () => {
    class Remembers extends Linux68CallQueue {
      private entered = 0;
      override enter(waiter: CallWaiter, system: boolean) {
        return super.enter(waiter, system && this.entered++ % 2 === 0);
      }
    }
    await expect(
      explore(configuration('linux-6.8', [2, 2, 1, 'N+N,S+S']), { createQueue: () => new Remembers(2) }),
    ).rejects.toThrow('the queue keeps what is not stored');
  });

  it('stores more of a state if a discipline reads more of it', async () => {
    class OneExitIsNone extends HandOffCallQueue {
      override threadLimit(waiter: CallWaiter) {
        if (this.exits - waiter.exitsSeen === 1) waiter.exitsSeen = this.exits;
        return super.threadLimit(waiter);
      }
    }
    const create = { createQueue: () => new OneExitIsNone(4, 'one-in-all') };
    const found = await explore(configuration('hand-off', [4, 3, 0, '4*N']), create);
    expect(broken(found)).toHaveProperty('counterOutOfRange');
    const { steps } = found.properties.counterOutOfRange;
    expect(found.properties.counterOutOfRange.schedule).toHaveLength(steps ?? 0);
  });

  it('refuses configurations that do not fit its state encoding', async () => {
    await expect(run('hand-off', [9, 9, 0, 'N'])).rejects.toThrow('more than 8 threads');
    await expect(run('hand-off', [2, 2, 0, '13*N'])).rejects.toThrow('13 callers');
  });
});
