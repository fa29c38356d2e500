import type { SmcRegisters } from '../../protocol/conduit.js';
import { type SecureWorld, secureWorldBut } from '../../protocol/secure-world.js';
import type { SimulatedWorld } from '../../worlds/simulated/index.js';

/** What a thread context does: nothing, execute in secure world, or wait, taken, for the answer to an RPC. */
export type ThreadUse = 'free' | 'secure' | 'rpc';

/** A thread context from a time on, in milliseconds. */
export interface ThreadChange {
  readonly time: number;
  readonly use: ThreadUse;
}

/**
 * Watches the thread contexts of a simulated world: it stands between driver and world, and looks whenever the
 * processor passes it. The driver itself cannot tell which context a call runs in before its first RPC.
 */
export class ThreadRecorder {
  /** By thread context, in order of time. */
  changes: ThreadChange[][];
  /** Told when a call takes a thread context; the second says how many others were free then. */
  onTaken: (thread: number, otherFree: number) => void = () => {};
  private readonly uses: ThreadUse[];
  private free = 0;
  private lastTime: number;
  /** Milliseconds during which at least that many threads were free. */
  private readonly freeAtLeast: number[];

  constructor(
    private readonly world: SimulatedWorld,
    private readonly now: () => number,
  ) {
    this.lastTime = now();
    this.uses = world.threads.map(() => 'free');
    this.free = this.uses.length;
    this.changes = this.uses.map((use) => [{ time: this.lastTime, use }]);
    this.freeAtLeast = new Array<number>(this.uses.length + 1).fill(0);
  }

  /** The world, watched. */
  get watched(): SecureWorld {
    return secureWorldBut(this.world, { conduit: { smc: (registers) => this.smc(registers) } });
  }

  /** Milliseconds so far during which more than `withheld` threads were free. */
  freeTime(withheld: number): number {
    const now = this.now() - this.lastTime;
    return (this.freeAtLeast[withheld + 1] ?? 0) + (this.free > withheld ? now : 0);
  }

  /** Begin again at this moment. */
  forget(): void {
    this.look();
    const time = this.now();
    this.changes = this.uses.map((use) => [{ time, use }]);
  }

  get freeThreads(): readonly number[] {
    return this.uses.flatMap((use, thread) => (use === 'free' ? [thread] : []));
  }

  private smc(registers: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    const answer = this.world.smc(registers);
    this.look();
    return answer instanceof Promise ? answer.finally(() => this.look()) : answer;
  }

  /** See what changed. To be called as well whenever time is about to go on: an RPC's answer resumes a thread late. */
  look(): void {
    const time = this.now();
    if (time > this.lastTime) {
      for (let count = 1; count <= this.free; count++)
        this.freeAtLeast[count] = (this.freeAtLeast[count] ?? 0) + time - this.lastTime;
      this.lastTime = time;
    }
    for (const { id, state } of this.world.threads) {
      const before = this.uses[id];
      const use = state === 'free' ? 'free' : state === 'active' ? 'secure' : 'rpc';
      if (use === before) continue;
      this.uses[id] = use;
      this.changes[id]?.push({ time, use });
      if (before === 'free') {
        this.free--;
        this.onTaken(id, this.free);
      } else if (use === 'free') {
        this.free++;
      }
    }
  }
}
