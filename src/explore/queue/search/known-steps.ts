import type { StateCodec } from '../states/state-codec.js';
import { hashWords } from '../states/state-store.js';

/** In the first word of a step: the caller. */
export const CALLER_MASK = 15;
/** In the first word of a step: it applies only if the caller is not at its last operation, or only if it is. */
export const UNLESS_LAST = 16;
export const IF_LAST = 32;
/** In the first word of a step: an assertion of the discipline failed, so there is no successor. */
export const FAILS = 64;
/** In the first word of a step: it tells the queue of an ETHREAD_LIMIT. */
export const REFUSED = 128;
/** In the first word of a step: the lowest bit of the properties that it breaks. */
export const BROKEN_SHIFT = 8;

/** In an entry, before its key and its steps: the number of steps. */
export const COUNT = 0;
/** The properties that the state breaks. */
export const BROKEN = 1;
/** Not 0 if the steps were repeated and compared. */
export const COMPARED = 2;
const KEY = 3;

/** The maximum number of cells: 128 MiB. */
const MOST_CELLS = 1 << 25;

/**
 * The steps from states that the discipline cannot distinguish: they differ only in how often callers still repeat the same
 * operation. Such states share an entry. A step is stored as the difference between successor and state, each read as one
 * long number (`Packing`); it is the same for all states of the entry. A step that ends an operation is stored twice, for
 * the last operation and for the others.
 *
 * If no caller repeats an operation, there is one entry, for the present state, and a step is stored as the successor.
 */
export class KnownSteps {
  /** The entries: three words, the key, then the steps, each with a first word and the difference. */
  cells: Uint32Array;
  private readonly words: number;
  private readonly mask: Uint32Array;
  private readonly keeps: boolean;
  private readonly key: Uint32Array;
  private hash = 0;
  private used = 0;
  private count = 0;
  /** The offset of an entry plus one; 0: empty. */
  private table = new Uint32Array(1 << 10);
  private readonly mostOfEntry: number;

  constructor({ words, likeMask, repetitive, codes }: StateCodec) {
    this.words = words;
    this.mask = likeMask;
    this.keeps = repetitive.includes(true);
    this.key = new Uint32Array(words);
    this.mostOfEntry = KEY + words + 2 * codes.length * (1 + words);
    this.cells = new Uint32Array(this.mostOfEntry * (this.keeps ? 64 : 1));
  }

  get bytes(): number {
    return this.keeps ? this.cells.byteLength + this.table.byteLength : 0;
  }

  /** Whether there is only an entry for the present state. */
  get ofOneState(): boolean {
    return !this.keeps;
  }

  /** Offset of the steps of an entry. */
  stepsOf(entry: number): number {
    return entry + KEY + this.words;
  }

  /** The entry for this state; -1: none. */
  find(states: Uint32Array, at: number): number {
    if (!this.keeps) return -1;
    const { key, mask, words, table, cells } = this;
    for (let i = 0; i < words; i++) key[i] = (states[at + i] ?? 0) & (mask[i] ?? 0);
    const hash = hashWords(key, 0, words);
    this.hash = hash;
    const slots = table.length - 1;
    for (let slot = hash & slots; ; slot = (slot + 1) & slots) {
      const entry = (table[slot] ?? 0) - 1;
      if (entry === -1) return -1;
      let same = 0;
      while (same < words && cells[entry + KEY + same] === key[same]) same++;
      if (same === words) return entry;
    }
  }

  /** Begin an entry for the state of the last `find`. It must be completed by `end` before the next. */
  begin(): number {
    const { key, words, mostOfEntry } = this;
    const entry = this.keeps && this.used + 2 * mostOfEntry <= MOST_CELLS ? this.used : this.full();
    if (entry + mostOfEntry > this.cells.length) {
      const cells = new Uint32Array(this.cells.length * 2);
      cells.set(this.cells);
      this.cells = cells;
    }
    const { cells } = this;
    cells[entry + COUNT] = 0;
    cells[entry + BROKEN] = 0;
    cells[entry + COMPARED] = 0;
    for (let i = 0; i < words; i++) cells[entry + KEY + i] = key[i] ?? 0;
    return entry;
  }

  /** Add a step, from the state at `states[from]` to `after`, to the entry that was begun last. */
  add(entry: number, first: number, states: Uint32Array, from: number, after: Uint32Array): void {
    const { cells, words } = this;
    let to = this.addFailing(entry, first) + 1;
    let borrow = 0;
    for (let i = 0; i < words; i++) {
      const difference = (after[i] ?? 0) - (this.keeps ? (states[from + i] ?? 0) : 0) - borrow;
      borrow = difference < 0 ? 1 : 0;
      cells[to++] = difference;
    }
  }

  /** Add a step without a successor. Returns its offset. */
  addFailing(entry: number, first: number): number {
    const { cells, words } = this;
    const count = cells[entry + COUNT] ?? 0;
    const to = this.stepsOf(entry) + count * (1 + words);
    cells[entry + COUNT] = count + 1;
    cells[to] = first;
    return to;
  }

  /** Complete the entry that was begun last. */
  end(entry: number): void {
    if (entry !== this.used || !this.keeps) return;
    this.used = this.stepsOf(entry) + (this.cells[entry + COUNT] ?? 0) * (1 + this.words);
    this.enter(this.hash, entry);
    if (++this.count * 2 > this.table.length) this.growTable();
  }

  private enter(hash: number, entry: number): void {
    const { table } = this;
    const slots = table.length - 1;
    let slot = hash & slots;
    while (table[slot] !== 0) slot = (slot + 1) & slots;
    table[slot] = entry + 1;
  }

  private growTable(): void {
    const before = this.table;
    this.table = new Uint32Array(before.length * 2);
    for (const entry of before)
      if (entry !== 0) this.enter(hashWords(this.cells, entry - 1 + KEY, this.words), entry - 1);
  }

  /** The offset of an entry that is not kept. */
  private full(): number {
    return this.keeps ? this.used + this.mostOfEntry : 0;
  }
}
