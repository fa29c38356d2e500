import type { Scenario } from '../scenario.js';

/** A task of the normal world that can hold locks: a caller of a client, or the supplicant for one request. */
export interface LockTask<Call> {
  /** The name for messages. */
  readonly name: string;
  /** The driver's call that the task is in, or that it serves. The task cannot continue before that call does. */
  call(): Call | undefined;
  /** The lock that it waits for, and since when. */
  waitsFor: { readonly lock: Lock<Call>; readonly since: number } | undefined;
}

/** A mutex of the normal world. Tasks take it in order of arrival. */
export class Lock<Call> {
  holder: LockTask<Call> | undefined;
  private depth = 0;
  private readonly waiting: { readonly task: LockTask<Call>; readonly go: () => void }[] = [];

  constructor(
    readonly name: string,
    private readonly reentrant: boolean,
    private readonly now: () => number,
  ) {}

  /** Run `work` with the lock held. */
  async held(task: LockTask<Call>, work: () => Promise<void>): Promise<void> {
    await this.take(task);
    try {
      await work();
    } finally {
      this.release();
    }
  }

  private async take(task: LockTask<Call>): Promise<void> {
    if (this.holder === task && this.reentrant) {
      this.depth++;
      return;
    }
    if (this.holder !== undefined) {
      task.waitsFor = { lock: this, since: this.now() };
      await new Promise<void>((go) => this.waiting.push({ task, go }));
      task.waitsFor = undefined;
      return;
    }
    this.holder = task;
    this.depth = 1;
  }

  private release(): void {
    this.depth--;
    if (this.depth > 0) return;
    const next = this.waiting.shift();
    this.holder = next?.task;
    this.depth = next === undefined ? 0 : 1;
    next?.go();
  }

  /** The waiting tasks, in order of arrival. */
  get waiters(): readonly LockTask<Call>[] {
    return this.waiting.map(({ task }) => task);
  }
}

/** The locks of a scenario's normal world, by name. */
export class Locks<Call> {
  private readonly locks: ReadonlyMap<string, Lock<Call>>;

  constructor({ locks }: Scenario, now: () => number) {
    this.locks = new Map(
      Array.from(locks).flatMap(([name, { world, reentrant }]) =>
        world === 'normal' ? [[name, new Lock<Call>(name, reentrant, now)] as const] : [],
      ),
    );
  }

  get(name: string): Lock<Call> {
    const lock = this.locks.get(name);
    if (lock === undefined) throw new Error(`there is no lock ${name}`);
    return lock;
  }

  /** All tasks that wait for a lock. */
  get waiters(): readonly LockTask<Call>[] {
    return [...this.locks.values()].flatMap(({ waiters }) => waiters);
  }
}

/** What the holder of a lock waits for. */
export type LockHolder<Call> =
  /** The lock has no holder, or its holder can continue. */
  | { readonly holder: 'moves' }
  /** The holder is in this call, or waits for a lock whose holder is. */
  | { readonly holder: 'call'; readonly call: Call }
  /** Tasks that wait for each other's locks. */
  | { readonly holder: 'circle'; readonly tasks: readonly LockTask<Call>[] };

export function holderOf<Call>(lock: Lock<Call>): LockHolder<Call> {
  const seen: LockTask<Call>[] = [];
  for (let task = lock.holder; task !== undefined; task = task.waitsFor?.lock.holder) {
    const call = task.call();
    if (call !== undefined) return { holder: 'call', call };
    if (seen.includes(task)) return { holder: 'circle', tasks: seen.slice(seen.indexOf(task)) };
    seen.push(task);
    if (task.waitsFor === undefined) return { holder: 'moves' };
  }
  return { holder: 'moves' };
}
