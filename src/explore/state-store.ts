/** Stands for no state. */
export const NO_STATE = 0xffff_ffff;

/**
 * States found so far, in the order in which they were found, each once: fixed-size records of 32-bit words (the
 * state, then the state that it was first reached from), and a hash table of their numbers with linear probing.
 */
export class StateStore {
  count = 0;
  /** The records; a state to look up is written behind the last one (`scratch`). */
  records: Uint32Array;
  private readonly recordWords: number;
  /** Number of the state plus one; 0 is empty. */
  private table: Uint32Array;
  private capacity: number;

  /** @param stateWords 32-bit words of a state. */
  constructor(
    private readonly stateWords: number,
    capacity = 1 << 12,
  ) {
    this.recordWords = stateWords + 1;
    this.capacity = capacity;
    this.records = new Uint32Array((capacity + 1) * this.recordWords);
    this.table = new Uint32Array(capacity * 2);
  }

  get bytes(): number {
    return this.records.byteLength + this.table.byteLength;
  }

  /** Where in `records` the next state is to be written before `add`. */
  get scratch(): number {
    return this.count * this.recordWords;
  }

  /** Where in `records` a state stands. */
  offset(state: number): number {
    return state * this.recordWords;
  }

  /** The state from which this one was first reached; `NO_STATE` for the first. */
  parent(state: number): number {
    return this.records[this.offset(state) + this.stateWords] ?? NO_STATE;
  }

  /** Adds the state written at `scratch`; false when it is known already. */
  add(parent: number): boolean {
    const found = this.slot();
    if (this.table[found] !== 0) return false;
    this.records[this.scratch + this.stateWords] = parent;
    this.count++;
    this.table[found] = this.count;
    if (this.count === this.capacity) this.grow();
    return true;
  }

  /** The number of the state written at `scratch`, or `NO_STATE`. */
  find(): number {
    const entry = this.table[this.slot()] ?? 0;
    return entry === 0 ? NO_STATE : entry - 1;
  }

  /** The table's slot that holds the state at `scratch`, or the empty one where it belongs. */
  private slot(): number {
    const { records, table, stateWords, recordWords, scratch } = this;
    const mask = table.length - 1;
    let slot = hashWords(records, scratch, stateWords) & mask;
    for (;;) {
      const entry = table[slot] ?? 0;
      if (entry === 0) return slot;
      const at = (entry - 1) * recordWords;
      let same = 0;
      while (same < stateWords && records[at + same] === records[scratch + same]) same++;
      if (same === stateWords) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private grow(): void {
    this.capacity *= 2;
    const records = new Uint32Array((this.capacity + 1) * this.recordWords);
    records.set(this.records);
    this.records = records;
    this.table = new Uint32Array(this.capacity * 2);
    const mask = this.table.length - 1;
    for (let state = 0; state < this.count; state++) {
      let slot = hashWords(records, this.offset(state), this.stateWords) & mask;
      while (this.table[slot] !== 0) slot = (slot + 1) & mask;
      this.table[slot] = state + 1;
    }
  }
}

/** A 32-bit hash of some words (the mixing of MurmurHash3). */
export function hashWords(words: Uint32Array, at: number, count: number): number {
  let hash = 0x9747_b28c;
  for (let i = at; i < at + count; i++) {
    let word = Math.imul(words[i] ?? 0, 0xcc9e_2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b87_3593);
    hash ^= word;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe654_6b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
