/**
 * The known defects of the kernel's call queues, each as its shortest schedule, and what hand-off does with the same
 * workload in the same order. A caller is named by its place in the list of callers.
 */
import { describe, expect, it } from 'vitest';
import type { Operation, Stage } from '../../../src/explore/queue/model/caller.js';
import { QueueModel } from '../../../src/explore/queue/model/queue-model.js';
import { isAsleep } from '../../../src/explore/queue/properties/judge.js';
import type { DisciplineName } from '../../../src/optee/call-queue/call-queue.js';
import { createCallQueue, DISCIPLINES } from '../../../src/optee/call-queue/disciplines.js';

const normalCall: Operation = { op: 'call', session: -1, rpc: 0, needs: -1, forever: false };
const systemCall: Operation = { ...normalCall, session: 0 };
const endless: Operation = { ...normalCall, forever: true };
const needing = (operation: Operation, needs: number): Operation => ({ ...operation, needs }) as Operation;

class Run {
  readonly model: QueueModel;

  constructor(
    discipline: DisciplineName,
    threads: { announced: number; real: number; systemSessions?: number },
    ...callers: Operation[][]
  ) {
    this.model = new QueueModel({
      discipline,
      totalThreadCount: threads.announced,
      secureThreads: threads.real,
      initialSystemSessions: threads.systemSessions ?? 0,
      callers,
    });
  }

  caller(label: number) {
    const caller = this.model.callers[label];
    if (caller === undefined) throw new Error(`no caller ${label}`);
    return caller;
  }

  /** Lets one caller step until it is there, or cannot go on by itself. */
  until(label: number, stage: Stage): this {
    const caller = this.caller(label);
    do this.model.step(caller);
    while (caller.stage !== stage && this.model.next(caller) !== undefined);
    return this;
  }

  steps(label: number, count: number): this {
    for (let i = 0; i < count; i++) this.model.step(this.caller(label));
    return this;
  }

  /** Lets everyone step who can, in turn, until nobody can. */
  toTheEnd(): this {
    for (let limit = 10_000; limit > 0; limit--) {
      const able = this.model.callers.filter((caller) => this.model.next(caller) !== undefined);
      if (able.length === 0) return this;
      for (const caller of able) if (this.model.next(caller) !== undefined) this.model.step(caller);
    }
    throw new Error('does not come to an end');
  }

  get asleep(): number[] {
    return this.model.callers.filter(isAsleep).map(({ label }) => label);
  }

  get done(): number[] {
    return this.model.callers.filter(({ stage }) => stage === 'done').map(({ label }) => label);
  }
}

const HAND_OFF = ['hand-off', 'hand-off-a', 'hand-off-c'] as const;

describe('1. a wake-up given to a caller that is inside secure world (optee_os issue 4438)', () => {
  const run = (discipline: DisciplineName) =>
    new Run(discipline, { announced: 2, real: 2 }, [normalCall], [endless], [normalCall])
      .until(0, 'in_secure')
      .until(1, 'in_secure')
      .until(2, 'in_secure')
      .until(0, 'done')
      .toTheEnd();

  it.each(['linux-6.7', 'patch-v6', 'linux-6.8'] as const)(
    '%s leaves a caller asleep although a thread is free',
    (name) => {
      const { asleep, model } = run(name);
      expect(asleep).toEqual([2]);
      expect(model.secureFree).toBe(1);
    },
  );

  it.each(HAND_OFF)('%s gives it the thread', (name) => {
    expect(run(name).done).toEqual([0, 2]);
  });
});

describe('2. a normal call that sleeps for ever, with all announced threads and one reservation', () => {
  const run = (discipline: DisciplineName) =>
    new Run(discipline, { announced: 2, real: 2, systemSessions: 1 }, [normalCall], [systemCall], [systemCall])
      .until(0, 'ready')
      .until(1, 'in_secure')
      .until(2, 'in_secure')
      .steps(0, 1)
      .until(1, 'done')
      .toTheEnd();

  it('patch-v6 lets two system calls take both threads, and skips the normal list when they return', () => {
    const { asleep, done, model } = run('patch-v6');
    expect({ asleep, done, free: model.secureFree }).toEqual({ asleep: [0], done: [1, 2], free: 2 });
  });

  it.each(HAND_OFF)('all calls finish with %s', (name) => {
    expect(run(name).done).toEqual([0, 1, 2]);
  });
});

describe('3. a normal call that sleeps for ever when secure world has one thread less than it announced', () => {
  const run = (discipline: DisciplineName) =>
    new Run(discipline, { announced: 2, real: 1, systemSessions: 1 }, [normalCall], [systemCall])
      .until(0, 'ready')
      .until(1, 'in_secure')
      .steps(0, 1)
      .until(1, 'done')
      .toTheEnd();

  it('patch-v6 counts the sleeper as the user of the last thread', () => {
    const { asleep, model } = run('patch-v6');
    expect({ asleep, free: model.secureFree }).toEqual({ asleep: [0], free: 1 });
  });

  it.each(HAND_OFF)('%s learns the real number and finishes', (name) => {
    const { done, model } = run(name);
    expect(done).toEqual([0, 1]);
    expect(model.queue.state().counters.capacity).toBe(1);
  });
});

describe('4. two normal calls that sleep for ever when secure world is one thread short', () => {
  const run = (discipline: DisciplineName) => {
    const [sleeper, newcomer, system] = [0, 1, 2];
    const twice = new Run(
      discipline,
      { announced: 2, real: 1, systemSessions: 1 },
      [normalCall],
      [normalCall],
      [systemCall, systemCall],
    )
      .until(system, 'ready')
      .until(sleeper, 'ready')
      .until(system, 'idle');
    // Woken, the completion consumed, not yet back in the list.
    if (twice.model.next(twice.caller(sleeper)) !== undefined) twice.steps(sleeper, 1);
    twice.until(newcomer, 'ready').until(system, 'in_secure');
    if (twice.model.next(twice.caller(newcomer)) === 'smc') twice.steps(newcomer, 1);
    if (twice.caller(system).stage === 'in_secure') twice.until(system, 'done');
    return twice.toTheEnd();
  };

  it('linux-6.8 gives the last completion to a caller that is about to discard it', () => {
    const { asleep, done, model } = run('linux-6.8');
    expect({ asleep, done, free: model.secureFree }).toEqual({ asleep: [0, 1], done: [2], free: 1 });
  });

  it.each(HAND_OFF)('all calls finish with %s', (name) => {
    expect(run(name).done).toEqual([0, 1, 2]);
  });
});

describe('5. a newcomer that claims a thread between the wake-up of another caller and its second check', () => {
  const rounds = 4;
  /** How often caller 0 gets the thread while caller 1, who came before its second call, waits. */
  const overtaken = (discipline: DisciplineName) => {
    const calls = Array.from({ length: rounds }, () => normalCall);
    const run = new Run(discipline, { announced: 1, real: 1 }, calls, [normalCall]);
    run.until(0, 'in_secure').until(1, 'ready');
    let count = 0;
    while (run.caller(0).index < rounds - 1) {
      run.until(0, 'idle').until(0, 'ready');
      if (run.caller(0).stage !== 'ready') break;
      count++;
      // The woken one looks again, finds the thread taken, and goes to the tail.
      run.until(1, 'ready');
      expect(run.asleep).toEqual([1]);
    }
    expect(run.toTheEnd().done).toEqual([0, 1]);
    return count;
  };

  it.each(['patch-v6', 'linux-6.8'] as const)('%s lets it pass every time', (name) => {
    expect(overtaken(name)).toBe(rounds - 1);
  });

  it.each(HAND_OFF)('%s never does', (name) => {
    expect(overtaken(name)).toBe(0);
  });
});

describe('6. a system call that needs another system call, when the reservation is one for all', () => {
  const otherSystemCall: Operation = { ...systemCall, session: 1 };
  const run = (discipline: DisciplineName) =>
    new Run(
      discipline,
      { announced: 3, real: 3, systemSessions: 2 },
      [needing(normalCall, 3)],
      [needing(normalCall, 3)],
      [needing(systemCall, 3)],
      [otherSystemCall],
    )
      .until(0, 'in_secure')
      .until(1, 'in_secure')
      .until(2, 'in_secure')
      .until(3, 'in_secure')
      .toTheEnd();

  it.each(['linux-6.8', 'hand-off', 'hand-off-a'] as const)('with %s no thread is left for the second', (name) => {
    const { asleep, done } = run(name);
    expect({ asleep, done }).toEqual({ asleep: [3], done: [] });
  });

  it.each(['patch-v6', 'hand-off-c'] as const)('with %s, which reserves one for each, all calls finish', (name) => {
    expect(run(name).done).toEqual([0, 1, 2, 3]);
  });
});

describe('7. a secure world with a single thread', () => {
  it.each(Object.keys(DISCIPLINES) as DisciplineName[])('%s refuses the reservation', (name) => {
    expect(createCallQueue(name, 1).reserve()).toBe(false);
  });
});
