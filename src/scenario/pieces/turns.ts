/** Something that one at a time may have, in the order in which they asked. */
export class Turns<Holder> {
  private current: Holder | undefined;
  private readonly waiting: { readonly holder: Holder; readonly go: () => void }[] = [];

  /** Who has it now. */
  get holder(): Holder | undefined {
    return this.current;
  }

  /** Wait for one's turn. */
  take(holder: Holder): Promise<void> {
    if (this.current === undefined) {
      this.current = holder;
      return Promise.resolve();
    }
    return new Promise((go) => this.waiting.push({ holder, go }));
  }

  /** Let the next have it. */
  pass(): void {
    const next = this.waiting.shift();
    this.current = next?.holder;
    next?.go();
  }
}
