const last = 0x7fff_ffff;

/**
 * Ids of shared memory. They are unique in the whole server, as Linux's are unique for a device (one idr), so that a
 * client with several open files cannot confuse them. Only the file that owns the memory can use its id.
 */
export class MemoryIds {
  private readonly used = new Set<number>();
  private latest = 0;

  take(): number {
    do this.latest = (this.latest % last) + 1;
    while (this.used.has(this.latest));
    this.used.add(this.latest);
    return this.latest;
  }

  giveBack(id: number): void {
    this.used.delete(id);
  }
}
