import type { SmcRegisters } from '../../protocol/conduit.js';
import { type SecureWorld, secureWorldBut } from '../../protocol/secure-world.js';
import type { SimulatedWorld } from '../../worlds/simulated/index.js';

/** The use of a thread context: free, executing in secure world, or suspended in an RPC. */
export type ThreadUse = 'free' | 'secure' | 'rpc';

/** A change of a thread context's use, with its time in milliseconds. */
export interface ThreadChange {
  readonly time: number;
  readonly use: ThreadUse;
}

/**
 * Records the thread contexts of a simulated world. It sits between driver and world and reads their state at each SMC.
 * The driver itself does not know the context of a call before the first RPC.
 */
export class ThreadRecorder {
  /** By thread context, in order of time. */
  changes: ThreadChange[][];
  /** Called when a call takes a thread context; `otherFree` is the number of other free ones. */
  onTaken: (thread: number, otherFree: number) => void = () => {};
  private readonly uses: ThreadUse[];
  private free = 0;
  private lastTime: number;
  /** Milliseconds during which at least that many threads were free, by number. */
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

  /** The world with the recorder in front of it. */
  get watched(): SecureWorld {
    return secureWorldBut(this.world, { conduit: { smc: (registers) => this.smc(registers) } });
  }

  /** Milliseconds so far during which more than `withheld` threads were free. */
  freeTime(withheld: number): number {
    const now = this.now() - this.lastTime;
    return (this.freeAtLeast[withheld + 1] ?? 0) + (this.free > withheld ? now : 0);
  }

  /** Reset the record, starting now. */
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

  /** Record changes. Must also be called before time advances, because an RPC's answer resumes its thread later. */
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
