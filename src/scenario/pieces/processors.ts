/**
 * Milliseconds after which a computing task yields to another one of its priority, or at the latest to one of higher
 * priority: one tick.
 */
const tickMs = 1;

/** The processors of a scenario for computing tasks of either world. The highest priority runs first. */
export class Processors {
  private free: number;
  private readonly waiting: { readonly priority: number; readonly go: () => void }[] = [];

  /** @param count undefined: no limit. */
  constructor(private readonly count: number | undefined) {
    this.free = count ?? 0;
  }

  /**
   * Compute on one processor.
   * @param busy lets `ms` milliseconds pass.
   */
  async compute(ms: number, priority: number, busy: (ms: number) => Promise<void>): Promise<void> {
    if (this.count === undefined) return busy(ms);
    if (ms <= 0) return;
    await this.take(priority);
    try {
      for (let left = ms; left > 0; left -= tickMs) {
        await busy(Math.min(left, tickMs));
        const [first] = this.waiting;
        if (left <= tickMs || first === undefined || first.priority < priority) continue;
        // Yield to a task of the same priority.
        const back = this.queued(priority);
        this.release();
        await back;
      }
    } finally {
      this.release();
    }
  }

  private take(priority: number): Promise<void> | undefined {
    if (this.free > 0) {
      this.free--;
      return undefined;
    }
    return this.queued(priority);
  }

  private queued(priority: number): Promise<void> {
    return new Promise((go) => {
      const behind = this.waiting.findIndex((other) => other.priority < priority);
      this.waiting.splice(behind < 0 ? this.waiting.length : behind, 0, { priority, go });
    });
  }

  private release(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free++;
    else next.go();
  }
}
