/** A min-heap of numbers with keys. */
export class NumberHeap {
  private readonly keys: number[] = [];
  private readonly values: number[] = [];

  get length(): number {
    return this.keys.length;
  }

  /** The smallest key; Infinity if the heap is empty. */
  get firstKey(): number {
    return this.keys[0] ?? Number.POSITIVE_INFINITY;
  }

  push(key: number, value: number): void {
    const { keys, values } = this;
    let at = keys.length;
    keys.push(key);
    values.push(value);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if ((keys[parent] ?? 0) <= key) break;
      keys[at] = keys[parent] ?? 0;
      values[at] = values[parent] ?? 0;
      at = parent;
    }
    keys[at] = key;
    values[at] = value;
  }

  /** Remove the value with the smallest key; NaN if the heap is empty. */
  pop(): number {
    const { keys, values } = this;
    const first = values[0] ?? Number.NaN;
    const key = keys.pop();
    const value = values.pop();
    const { length } = keys;
    if (key === undefined || value === undefined || length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && (keys[child + 1] ?? 0) < (keys[child] ?? 0)) child++;
      if ((keys[child] ?? 0) >= key) break;
      keys[at] = keys[child] ?? 0;
      values[at] = values[child] ?? 0;
      at = child;
    }
    keys[at] = key;
    values[at] = value;
    return first;
  }
}

/** Distributes overlapping spans to rows: each to the lowest free row. Spans must come in order of their beginnings. */
export class SpanRows {
  /** Number of rows so far. */
  count = 0;
  private readonly free = new NumberHeap();
  private readonly taken = new NumberHeap();

  take(start: number, end: number): number {
    while (this.taken.firstKey <= start) {
      const row = this.taken.pop();
      this.free.push(row, row);
    }
    const row = this.free.length > 0 ? this.free.pop() : this.count++;
    this.taken.push(end, row);
    return row;
  }
}
