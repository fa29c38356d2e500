/** A door that is open until it is shut: whoever comes then waits, and the test can see how many do. */
export class Door {
  private waiters: (() => void)[] | undefined;
  private watchers: { readonly count: number; readonly resolve: () => void }[] = [];

  shut(): void {
    this.waiters ??= [];
  }

  open(): void {
    for (const go of this.waiters?.splice(0) ?? []) go();
    this.waiters = undefined;
  }

  /** How many wait at this moment. */
  get waiting(): number {
    return this.waiters?.length ?? 0;
  }

  /** Go through, at once or when it is opened. */
  async pass(): Promise<undefined> {
    const { waiters } = this;
    if (waiters === undefined) return undefined;
    await new Promise<void>((resolve) => {
      waiters.push(resolve);
      this.watchers = this.watchers.filter(({ count, resolve: seen }) => {
        if (waiters.length < count) return true;
        seen();
        return false;
      });
    });
    return undefined;
  }

  /** Resolves when so many wait. */
  reached(count: number): Promise<void> {
    if (this.waiting >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.watchers.push({ count, resolve });
    });
  }
}
