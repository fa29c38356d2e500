/** A set of listeners. The same function may be added more than once. */
export class Listeners {
  private readonly all = new Set<() => void>();

  /** @returns a function that removes the listener. */
  add(listener: () => void): () => void {
    const own = () => listener();
    this.all.add(own);
    return () => this.all.delete(own);
  }

  tell(): void {
    for (const listener of [...this.all]) listener();
  }
}
