import type { Scenario } from '../scenario.js';

/** Who acts in the normal world and may hold its locks: a caller of a client, the supplicant for a request. */
export interface LockTask<Call> {
  /** For people. */
  readonly name: string;
  /** The call of the driver that it is in, or that it serves: until that goes on, it does not either. */
  call(): Call | undefined;
  /** The lock that it waits for, and since when. */
  waitsFor: { readonly lock: Lock<Call>; readonly since: number } | undefined;
}

/** A mutex of the normal world: who comes first has it first. */
export class Lock<Call> {
  holder: LockTask<Call> | undefined;
  private depth = 0;
  private readonly waiting: { readonly task: LockTask<Call>; readonly go: () => void }[] = [];

  constructor(
    readonly name: string,
    private readonly reentrant: boolean,
    private readonly now: () => number,
  ) {}

  /** Do something with the lock held. */
  async held(task: LockTask<Call>, work: () => Promise<void>): Promise<void> {
    await this.take(task);
    try {
      await work();
    } finally {
      this.letGo();
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

  private letGo(): void {
    this.depth--;
    if (this.depth > 0) return;
    const next = this.waiting.shift();
    this.holder = next?.task;
    this.depth = next === undefined ? 0 : 1;
    next?.go();
  }

  /** Those who wait for it, first come first. */
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

  /** Tasks that wait for locks. */
  get waiters(): readonly LockTask<Call>[] {
    return [...this.locks.values()].flatMap(({ waiters }) => waiters);
  }
}

/** What stands between a lock and whoever waits for it. */
export type LockHolder<Call> =
  /** Nobody, or somebody who goes on. */
  | { readonly holder: 'moves' }
  /** The call that its holder is in, or the holder of the lock that this one waits for in turn. */
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
