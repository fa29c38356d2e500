/** No state. */
export const NO_STATE = 0xffff_ffff;

/** The number of states up to which the store allocates generously instead of growing often. */
const SMALL = 1 << 20;

/** The set of found states, as a search uses it. */
export interface StateSet {
  /** The records: each has a state's words, then the number of the state from which it was first reached. */
  readonly records: Uint32Array;
  /** Offset of a state in `records`. */
  offset(state: number): number;
  hash(words: Uint32Array, at: number): number;
  /**
   * Read the table entries of these hashes to bring them into the cache. The reads of several states overlap; those of
   * consecutive lookups do not.
   */
  touch(hashes: Uint32Array, count: number): number;
  /** Add the state at `words[at]`, whose hash is given. Returns its number, or `NO_STATE` if it is known. */
  add(words: Uint32Array, at: number, hash: number, parent: number): number;
}

/**
 * The states found so far, each once, in the order in which they were found: fixed-size records of 32-bit words (the
 * state, then the number of the state from which it was first reached), and a hash table of their numbers with linear
 * probing.
 */
export class StateStore implements StateSet {
  count = 0;
  records: Uint32Array;
  private readonly recordWords: number;
  /** Entries as returned by `entryOf`; 0 is empty. */
  private table: Uint32Array;
  private capacity: number;

  /** @param stateWords the number of 32-bit words of a state. */
  constructor(
    private readonly stateWords: number,
    capacity = 1 << 12,
  ) {
    this.recordWords = stateWords + 1;
    this.capacity = capacity;
    this.records = new Uint32Array(capacity * this.recordWords);
    this.table = new Uint32Array(capacity * 2);
  }

  get bytes(): number {
    return this.records.byteLength + this.table.byteLength;
  }

  /** The number of states that can be added before the memory is doubled. */
  get room(): number {
    return this.capacity - this.count;
  }

  offset(state: number): number {
    return state * this.recordWords;
  }

  /** The state from which this one was first reached; `NO_STATE` for the first. */
  parent(state: number): number {
    return this.records[this.offset(state) + this.stateWords] ?? NO_STATE;
  }

  add(words: Uint32Array, at: number, hash: number, parent: number): number {
    const slot = this.slot(words, at, hash);
    if (this.table[slot] !== 0) return NO_STATE;
    const to = this.count * this.recordWords;
    for (let i = 0; i < this.stateWords; i++) this.records[to + i] = words[at + i] ?? 0;
    this.records[to + this.stateWords] = parent;
    this.table[slot] = entryOf(this.count++, hash, this.table.length - 1);
    if (this.count === this.capacity) this.grow();
    return this.count - 1;
  }

  /** The number of the state at `words[at]`, or `NO_STATE`. */
  find(words: Uint32Array, at: number): number {
    const { table } = this;
    const entry = table[this.slot(words, at, this.hash(words, at))] ?? 0;
    return entry === 0 ? NO_STATE : (entry & (table.length - 1)) - 1;
  }

  hash(words: Uint32Array, at: number): number {
    return hashWords(words, at, this.stateWords);
  }

  touch(hashes: Uint32Array, count: number): number {
    return touchStates(this.table, this.records, this.recordWords, hashes, count);
  }

  /** The table's slot that holds the state, or the empty slot for it. */
  private slot(words: Uint32Array, at: number, hash: number): number {
    const { records, table, stateWords, recordWords } = this;
    const mask = table.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = table[slot] ?? 0;
      if (entry === 0) return slot;
      if (mayBe(entry, hash, mask)) {
        const known = ((entry & mask) - 1) * recordWords;
        let same = 0;
        while (same < stateWords && records[known + same] === words[at + same]) same++;
        if (same === stateWords) return slot;
      }
      slot = (slot + 1) & mask;
    }
  }

  private grow(): void {
    this.capacity *= this.capacity < SMALL ? 4 : 2;
    const records = new Uint32Array(this.capacity * this.recordWords);
    records.set(this.records);
    this.records = records;
    this.table = new Uint32Array(this.capacity * 2);
    fillTable(this.table, records, this.stateWords, this.count);
  }
}

/**
 * The table entry of a state: its number plus one, and above it those bits of its hash that do not determine its slot.
 * They distinguish most other states without access to their records.
 * @param mask the table's length, a power of two greater than the number of states, minus one.
 */
export function entryOf(state: number, hash: number, mask: number): number {
  return (state + 1) | (hash & ~mask);
}

/** Whether the entry can belong to a state with this hash. */
export function mayBe(entry: number, hash: number, mask: number): boolean {
  return ((entry ^ hash) & ~mask) === 0;
}

/** See `StateSet.touch`. */
export function touchStates(
  table: Uint32Array,
  records: Uint32Array,
  recordWords: number,
  hashes: Uint32Array,
  count: number,
): number {
  const mask = table.length - 1;
  let touched = 0;
  for (let i = 0; i < count; i++) touched |= table[(hashes[i] ?? 0) & mask] ?? 0;
  for (let i = 0; i < count; i++) {
    const hash = hashes[i] ?? 0;
    const entry = table[hash & mask] ?? 0;
    if (entry !== 0 && mayBe(entry, hash, mask)) touched |= records[((entry & mask) - 1) * recordWords] ?? 0;
  }
  return touched;
}

/** Enter the first `count` records into an empty table. */
export function fillTable(table: Uint32Array, records: Uint32Array, stateWords: number, count: number): void {
  const mask = table.length - 1;
  for (let state = 0; state < count; state++) {
    const hash = hashWords(records, state * (stateWords + 1), stateWords);
    let slot = hash & mask;
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = entryOf(state, hash, mask);
  }
}

/** A 32-bit hash of `count` words (the mixing of MurmurHash3). */
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
