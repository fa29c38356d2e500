/** How long a task computes before another of its priority has a turn, and one of a higher priority at the latest: a tick. */
const tickMs = 1;

/** The processors that a scenario has for what computes, in either world. The highest priority goes first. */
export class Processors {
  private free: number;
  private readonly waiting: { readonly priority: number; readonly go: () => void }[] = [];

  /** @param count undefined: as many as are wanted. */
  constructor(private readonly count: number | undefined) {
    this.free = count ?? 0;
  }

  /**
   * Compute on one of them.
   * @param busy lets that many milliseconds pass.
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
        // Whoever is as important has a turn.
        const back = this.queued(priority);
        this.letGo();
        await back;
      }
    } finally {
      this.letGo();
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

  private letGo(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free++;
    else next.go();
  }
}
