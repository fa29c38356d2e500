/** Clients with a call that never returns. The run does not wait for them. */
export class HungClients {
  /** By label. */
  private readonly clients = new Map<string, { readonly hangs: Promise<void>; readonly begin: () => void }>();

  /** Resolves when `work` ends, or when a call of the client hangs. */
  untilDoneOrHung(label: string, work: Promise<void>): Promise<void> {
    return Promise.race([work, this.of(label).hangs]);
  }

  hang(label: string): void {
    this.of(label).begin();
  }

  private of(label: string) {
    const known = this.clients.get(label);
    if (known !== undefined) return known;
    let begin = () => {};
    const hangs = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const client = { hangs, begin };
    this.clients.set(label, client);
    return client;
  }
}
