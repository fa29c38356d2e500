import {
  entryOf,
  fillTable,
  hashWords,
  mayBe,
  NO_STATE,
  type StateSet,
  type StateStore,
  touchStates,
} from './state-store.js';

/** The memory that all searching threads of one exploration share. */
export interface SharedStates {
  readonly stateWords: number;
  readonly records: SharedArrayBuffer;
  readonly table: SharedArrayBuffer;
  /** The number of taken records, and the next state to expand: see `TAKEN` and `CURSOR`. */
  readonly control: SharedArrayBuffer;
}

/** In `control`: the number of taken records. */
export const TAKEN = 0;
/** In `control`: the next state of the level that no thread has begun to expand. */
export const CURSOR = 1;

/**
 * The set of states, filled by several threads concurrently. A record is written first and then entered into the table
 * by a compare-and-swap, so a thread that finds an entry finds a complete record. A thread that loses the race for a
 * state keeps its record for the next state.
 */
export class SharedStateStore implements StateSet {
  readonly records: Uint32Array;
  /** The record that this thread has taken but not used, or `NO_STATE`. */
  spare = NO_STATE;
  private readonly stateWords: number;
  private readonly recordWords: number;
  private readonly table: Uint32Array;
  private readonly control: Uint32Array;

  constructor({ stateWords, records, table, control }: SharedStates) {
    this.stateWords = stateWords;
    this.recordWords = stateWords + 1;
    this.records = new Uint32Array(records);
    this.table = new Uint32Array(table);
    this.control = new Uint32Array(control);
  }

  offset(state: number): number {
    return state * this.recordWords;
  }

  hash(words: Uint32Array, at: number): number {
    return hashWords(words, at, this.stateWords);
  }

  touch(hashes: Uint32Array, count: number): number {
    return touchStates(this.table, this.records, this.recordWords, hashes, count);
  }

  add(words: Uint32Array, at: number, hash: number, parent: number): number {
    const { table, records, stateWords, recordWords } = this;
    const mask = table.length - 1;
    let slot = hash & mask;
    let written = false;
    for (;;) {
      let entry = Atomics.load(table, slot);
      if (entry === 0) {
        if (this.spare === NO_STATE) this.spare = Atomics.add(this.control, TAKEN, 1);
        const mine = this.spare;
        if (!written) {
          const to = mine * recordWords;
          for (let i = 0; i < stateWords; i++) records[to + i] = words[at + i] ?? 0;
          records[to + stateWords] = parent;
          written = true;
        }
        entry = Atomics.compareExchange(table, slot, 0, entryOf(mine, hash, mask));
        if (entry === 0) {
          this.spare = NO_STATE;
          return mine;
        }
      }
      if (mayBe(entry, hash, mask)) {
        const known = ((entry & mask) - 1) * recordWords;
        let same = 0;
        while (same < stateWords && records[known + same] === words[at + same]) same++;
        if (same === stateWords) return NO_STATE;
      }
      slot = (slot + 1) & mask;
    }
  }
}

/** Shared memory for `capacity` states, initialised with those of `store`. */
export function shareStates(
  store: Pick<StateStore, 'records'>,
  stateWords: number,
  count: number,
  capacity: number,
): SharedStates {
  const records = new SharedArrayBuffer(capacity * (stateWords + 1) * 4);
  const table = new SharedArrayBuffer(tableLength(capacity) * 4);
  const control = new SharedArrayBuffer(8);
  const words = new Uint32Array(records);
  words.set(store.records.subarray(0, count * (stateWords + 1)));
  fillTable(new Uint32Array(table), words, stateWords, count);
  Atomics.store(new Uint32Array(control), TAKEN, count);
  return { stateWords, records, table, control };
}

/** A power of two, at least twice the number of states. */
function tableLength(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(capacity * 2));
}

/**
 * Fill the gap of a record that was taken but not used, by moving the last record there.
 * @returns the new number of records.
 */
export function closeGap(shared: SharedStates, gap: number, count: number): number {
  const { stateWords } = shared;
  const last = count - 1;
  if (gap === last) return last;
  const records = new Uint32Array(shared.records);
  const table = new Uint32Array(shared.table);
  const mask = table.length - 1;
  const recordWords = stateWords + 1;
  const hash = hashWords(records, last * recordWords, stateWords);
  let slot = hash & mask;
  while (((table[slot] ?? 0) & mask) !== last + 1) slot = (slot + 1) & mask;
  records.copyWithin(gap * recordWords, last * recordWords, count * recordWords);
  table[slot] = entryOf(gap, hash, mask);
  return last;
}
