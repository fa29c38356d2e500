/** A resource for one holder at a time, given in order of the requests. */
export class Turns<Holder> {
  private current: Holder | undefined;
  private readonly waiting: { readonly holder: Holder; readonly go: () => void }[] = [];

  /** The present holder. */
  get holder(): Holder | undefined {
    return this.current;
  }

  /** Wait for the resource. */
  take(holder: Holder): Promise<void> {
    if (this.current === undefined) {
      this.current = holder;
      return Promise.resolve();
    }
    return new Promise((go) => this.waiting.push({ holder, go }));
  }

  /** Pass the resource to the next in line. */
  pass(): void {
    const next = this.waiting.shift();
    this.current = next?.holder;
    next?.go();
  }
}
