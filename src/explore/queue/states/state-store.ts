/** Stands for no state. */
export const NO_STATE = 0xffff_ffff;

/** States up to which memory is cheaper than growing often. */
const SMALL = 1 << 20;

/** What a search needs of the set of states found. */
export interface StateSet {
  /** The records, one after the other: a state's words, then the number of the state that it was first reached from. */
  readonly records: Uint32Array;
  /** Where in `records` a state stands. */
  offset(state: number): number;
  hash(words: Uint32Array, at: number): number;
  /**
   * Reads where the states of these hashes would be, for nothing but to have it in the cache: the reads of a few states
   * overlap, those of one lookup after another do not.
   */
  touch(hashes: Uint32Array, count: number): number;
  /** Adds the state at `words[at]`, whose hash is given: its number, or `NO_STATE` when it is known already. */
  add(words: Uint32Array, at: number, hash: number, parent: number): number;
}

/**
 * States found so far, in the order in which they were found, each once: fixed-size records of 32-bit words (the
 * state, then the state that it was first reached from), and a hash table of their numbers with linear probing.
 */
export class StateStore implements StateSet {
  count = 0;
  records: Uint32Array;
  private readonly recordWords: number;
  /** Entries as `entryOf` makes them; 0 is empty. */
  private table: Uint32Array;
  private capacity: number;

  /** @param stateWords 32-bit words of a state. */
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

  /** States that can be added before the store takes twice the memory. */
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

  /** The table's slot that holds the state, or the empty one where it belongs. */
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
 * What stands in the table for a state: its number plus one, and above it the bits of its hash that do not say where in the
 * table it belongs, so that most other states are told apart without a look at their records.
 * @param mask the table's length, a power of two above the number of states, less one.
 */
export function entryOf(state: number, hash: number, mask: number): number {
  return (state + 1) | (hash & ~mask);
}

/** The entry may be that of the state with this hash. */
export function mayBe(entry: number, hash: number, mask: number): boolean {
  return ((entry ^ hash) & ~mask) === 0;
}

/** Reads what `StateSet.touch` says. */
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

/** Enters the first so many records in an empty table. */
export function fillTable(table: Uint32Array, records: Uint32Array, stateWords: number, count: number): void {
  const mask = table.length - 1;
  for (let state = 0; state < count; state++) {
    const hash = hashWords(records, state * (stateWords + 1), stateWords);
    let slot = hash & mask;
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = entryOf(state, hash, mask);
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
