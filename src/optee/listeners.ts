/** Who wants to hear of something; each is told in its own turn. */
export class Listeners {
  private readonly all = new Set<() => void>();

  /** @returns ends it. */
  add(listener: () => void): () => void {
    const own = () => listener();
    this.all.add(own);
    return () => this.all.delete(own);
  }

  tell(): void {
    for (const listener of [...this.all]) listener();
  }
}
