import { CallQueueAssertion } from '../../../optee/call-queue/assertion.js';
import type { CallWaiter } from '../../../optee/call-queue/call-queue.js';
import { COUNTER_COUNT } from '../../../optee/call-queue/storable.js';
import type { Caller, Stage } from '../model/caller.js';
import { type QueueModel, SESSION_COUNT } from '../model/queue-model.js';
import { DONE, PHASE_OF, PLACE_BITS, placeOf, STAGE_OF } from './caller-place.js';
import { bitsFor, Packing } from './packing.js';
import { interchangeable, repeatsOneOperation, sortCodes } from './symmetry.js';

const PLACE_MASK = (1 << PLACE_BITS) - 1;

const COUNTER_BITS = 5;
/** Added to a counter, so that values from -8 to 23 can be stored. */
const COUNTER_OFFSET = 8;
const SESSION_SHIFT = COUNTER_COUNT * COUNTER_BITS;

/** Limits of the codec; larger configurations are refused at the start. */
export const MAX_THREADS = 8;
export const MAX_CALLERS = 12;

/** How a state stores the number of calls that have returned since a caller could enter (hand-off). */
export type BehindKept =
  /** Only whether there was one, for callers that may still be refused; this is all that the disciplines use. */
  | { readonly most: 1; readonly everywhere: false }
  /** The number itself up to `most`, for every caller. */
  | { readonly most: number; readonly everywhere: true };

export const BEHIND_AT_ALL: BehindKept = { most: 1, everywhere: false };

/** What the states of a search store. */
export interface StateForm {
  /** One state is stored for all that differ only in the identity of interchangeable callers. */
  readonly symmetric: boolean;
  readonly behindKept: BehindKept;
}

/** Loads a state with other numbers where the codec stores none, to detect whether the discipline depends on them. */
export interface Probe {
  /** The number of calls that have returned. */
  readonly exits: number;
  /** The number that returned since the caller could enter, if the codec stores `most` or nothing. */
  readonly behind: number;
}

/**
 * A state as a few 32-bit words: a code for each caller (its remaining work, its place, its place in its list), then
 * counters and sessions. Two fields are omitted if they are redundant: whether a call is a system call, if no session
 * changes, and the number of returned calls, if the discipline does not count them.
 *
 * Of the number of calls that have returned since a caller could enter, a state stores what `behindKept` says. If a
 * discipline depended on more, two different states would be taken for one; `Probe` detects this.
 *
 * With `symmetric`, callers with equal operations on which no other caller depends are interchangeable: their codes are
 * sorted, so that one state is stored for all that differ only in the identity of these callers.
 */
export class StateCodec {
  /** The number of words of a state. */
  readonly words: number;
  /** The codes of the last loaded state, by caller. */
  readonly codes: Int32Array;
  /** For each caller, the interchangeable caller before it; -1: none. */
  readonly twinBefore: Int32Array;

  /** For each caller, whether it has several operations, all equal. */
  readonly repetitive: readonly boolean[];
  /** All bits of a state except the index of the operation of repetitive callers. */
  readonly likeMask: Uint32Array;

  /** Whether a caller makes a session a system session, or closes it. */
  private readonly sessionsChange: boolean;
  private readonly groups: readonly (readonly number[])[];
  private readonly behindKept: BehindKept;
  /** The lowest bits of a code: the index of the caller's operation. */
  private readonly indexMask: number;
  private readonly placeShift: number;
  private readonly completedBit: number;
  /** 0 if it is determined by the operation. */
  private readonly systemBit: number;
  private readonly behindShift: number;
  private readonly behindMask: number;
  private readonly rpcShift: number;
  private readonly rpcMask: number;
  private readonly positionShift: number;
  private readonly packing: Packing;
  /** For each caller, which of its operations are system calls, if no session changes. */
  private readonly systemAt: readonly (readonly boolean[])[];
  private readonly counters = new Int32Array(COUNTER_COUNT);
  /** The codes of the last saved state, by caller, and of the last sorted one. */
  private readonly saved: Int32Array;
  private readonly written: Int32Array;
  /** Counters and sessions, and the free threads of secure world, of the last loaded state. */
  private loadedGlobals = 0;
  private loadedFree = 0;
  /** Callers by list and position, used while loading. */
  private readonly places: (CallWaiter | undefined)[][];

  constructor(
    private readonly model: QueueModel,
    { symmetric, behindKept }: StateForm,
  ) {
    this.behindKept = behindKept;
    const { callers, config } = model;
    if (callers.length === 0 || callers.length > MAX_CALLERS) {
      throw new RangeError(`${callers.length} callers; from 1 to ${MAX_CALLERS} can be explored`);
    }
    if (config.totalThreadCount > MAX_THREADS || config.secureThreads > MAX_THREADS) {
      throw new RangeError(`more than ${MAX_THREADS} threads cannot be explored`);
    }
    this.sessionsChange = callers.some(({ operations }) => operations.some(({ op }) => op !== 'call'));
    const rpcs = callers.flatMap(({ operations }) => operations.map((each) => ('rpc' in each ? each.rpc : 0)));
    // A caller that is done has no operation.
    const indexBits = bitsFor(Math.max(1, ...callers.map(({ operations }) => operations.length)) - 1);
    const rpcBits = bitsFor(Math.max(0, ...rpcs));
    const behindBits = model.queue.countsExits ? bitsFor(behindKept.most) : 0;
    this.indexMask = (1 << indexBits) - 1;
    this.placeShift = indexBits;
    this.completedBit = 1 << (this.placeShift + PLACE_BITS);
    this.systemBit = this.sessionsChange ? this.completedBit << 1 : 0;
    this.behindShift = this.placeShift + PLACE_BITS + (this.sessionsChange ? 2 : 1);
    this.behindMask = (1 << behindBits) - 1;
    this.rpcShift = this.behindShift + behindBits;
    this.rpcMask = (1 << rpcBits) - 1;
    this.positionShift = this.rpcShift + rpcBits;
    const codeBits = this.positionShift + bitsFor(callers.length);
    if (codeBits > 31) throw new RangeError('callers with so many operations and RPCs cannot be explored');
    const globalBits = this.sessionsChange
      ? SESSION_SHIFT + 2 * SESSION_COUNT
      : model.queue.counterCount * COUNTER_BITS;
    this.packing = new Packing(callers.length, codeBits, globalBits);
    this.words = this.packing.words;
    this.systemAt = callers.map(({ operations }) => operations.map((operation) => model.isSystemCall(operation)));
    this.repetitive = callers.map(repeatsOneOperation);
    this.likeMask = new Uint32Array(this.words);
    this.packing.pack(
      Int32Array.from(this.repetitive, (repetitive) => (repetitive ? ~this.indexMask : -1) & (2 ** codeBits - 1)),
      2 ** globalBits - 1,
      this.likeMask,
      0,
    );
    this.codes = new Int32Array(callers.length);
    this.saved = new Int32Array(callers.length);
    this.groups = symmetric ? interchangeable(callers).filter((group) => group.length > 1) : [];
    this.written = new Int32Array(callers.length);
    this.twinBefore = new Int32Array(callers.length).fill(-1);
    for (const group of this.groups) {
      group.forEach((label, at) => {
        this.twinBefore[label] = group[at - 1] ?? -1;
      });
    }
    this.places = model.queue.waiterLists.map(() => callers.map(() => undefined));
  }

  /** Write the model's state, in its canonical form, to `words` from `at`. */
  save(words: Uint32Array, at: number): void {
    const { saved } = this;
    const { callers } = this.model;
    for (let i = 0; i < callers.length; i++) {
      const caller = callers[i];
      if (caller !== undefined) saved[i] = this.code(caller);
    }
    this.savePositions();
    this.write(words, at, true);
  }

  /**
   * Write the model's state, which is one step of this caller away from the last loaded one.
   * @param canonical in its canonical form; else without sorting.
   */
  saveStep(words: Uint32Array, at: number, stepped: number, canonical: boolean): void {
    const { saved, codes, model, behindShift, behindMask, placeShift, completedBit, positionShift } = this;
    const { callers, queue } = model;
    const { countsExits } = queue;
    const kept = ~(behindMask << behindShift) & ((1 << positionShift) - 1);
    for (let i = 0; i < callers.length; i++) {
      const caller = callers[i];
      if (caller === undefined) break;
      const { waiter } = caller;
      const before = codes[i] ?? 0;
      // The queue may have changed another caller's phase, its completion and its position in a list.
      if (
        i === stepped ||
        waiter.phase !== PHASE_OF[(before >>> placeShift) & PLACE_MASK] ||
        waiter.completed !== ((before & completedBit) !== 0)
      )
        saved[i] = this.code(caller);
      else {
        const code = before & kept;
        saved[i] = countsExits && this.keepsBehind(caller.stage) ? code | this.behindOf(caller) : code;
      }
    }
    this.savePositions();
    this.write(words, at, canonical);
  }

  /** Write the saved codes, the counters and the sessions. */
  private write(words: Uint32Array, at: number, canonical: boolean): void {
    const { saved, written, groups } = this;
    let codes = saved;
    if (canonical && groups.length > 0) {
      for (let i = 0; i < saved.length; i++) written[i] = saved[i] ?? 0;
      for (const group of groups) sortCodes(written, group);
      codes = written;
    }
    this.packing.pack(codes, this.globals(), words, at);
  }

  /** Bring a state into its canonical form. */
  sort(words: Uint32Array, at: number): void {
    const { packing, groups, written } = this;
    if (groups.length === 0) return;
    const globals = packing.unpack(words, at, written);
    let moved = false;
    for (const group of groups) if (sortCodes(written, group)) moved = true;
    if (moved) packing.pack(written, globals, words, at);
  }

  /** Write the last loaded state, with this caller at another of its operations. */
  writeAtOperation(words: Uint32Array, at: number, caller: number, index: number): void {
    const { codes, packing, indexMask } = this;
    const code = codes[caller] ?? 0;
    codes[caller] = (code & ~indexMask) | index;
    packing.pack(codes, this.loadedGlobals, words, at);
    codes[caller] = code;
  }

  /** The index of a caller's operation. */
  operationOf(words: Uint32Array, at: number, caller: number): number {
    return this.packing.low(words, at, caller, this.indexMask);
  }

  /** Add the positions of the waiters to the saved codes. */
  private savePositions(): void {
    const { model, saved, positionShift } = this;
    const { queue } = model;
    const lists = queue.waiterLists;
    for (let l = 0; l < lists.length; l++) {
      let position = 1;
      for (let waiter = lists[l]?.head; waiter !== undefined; waiter = waiter.next) {
        // A state stores the position of a waiter in its list, but not which list it is.
        if (queue.listIndex(waiter) !== l)
          throw new CallQueueAssertion(`caller ${waiter.label} is on a list of others`);
        saved[waiter.label] = (saved[waiter.label] ?? 0) | (position++ << positionShift);
      }
    }
  }

  /** Counters and sessions in one word. */
  private globals(): number {
    const { model, counters } = this;
    const { queue } = model;
    queue.saveCounters(counters);
    let globals = 0;
    for (let i = 0; i < queue.counterCount; i++) {
      const counter = (counters[i] ?? 0) + COUNTER_OFFSET;
      if (counter >>> COUNTER_BITS !== 0) throw new CounterOverflow(`a counter is ${counters[i]}`);
      globals |= counter << (i * COUNTER_BITS);
    }
    if (this.sessionsChange) {
      for (let s = 0; s < SESSION_COUNT; s++) {
        if (model.sessionIsSystem[s]) globals |= 1 << (SESSION_SHIFT + 2 * s);
        if (model.sessionIsClosed[s]) globals |= 2 << (SESSION_SHIFT + 2 * s);
      }
    }
    return globals;
  }

  /** Read the codes of a state without changing the model. */
  readCodes(words: Uint32Array, at: number): void {
    this.packing.unpack(words, at, this.codes);
  }

  /** Set the model to the state at `words` from `at`. */
  load(words: Uint32Array, at: number, probe?: Probe): void {
    this.restore(this.packing.unpack(words, at, this.codes), probe);
  }

  /** Set the model back to the last loaded state, after one step of this caller that `saveStep` saved. */
  undo(stepped: number): void {
    const { codes, saved, model, positionShift } = this;
    // The holder of the lock is known only by its stage.
    if (model.config.fine === true) {
      this.restore(this.loadedGlobals, undefined);
      return;
    }
    this.restoreGlobals(this.loadedGlobals, undefined);
    let moved = 0;
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i] ?? 0;
      const changed = code ^ (saved[i] ?? 0);
      if (changed === 0 && i !== stepped) continue;
      moved |= changed >>> positionShift;
      const caller = model.callers[i];
      if (caller !== undefined) this.restoreCaller(caller, code, undefined);
    }
    model.secureFree = this.loadedFree;
    if (moved !== 0) this.relink();
  }

  /** Set the model to the state given by `codes` and by the counters and sessions. */
  private restore(globals: number, probe: Probe | undefined): void {
    const { model, codes } = this;
    const { callers } = model;
    this.loadedGlobals = globals;
    this.restoreGlobals(globals, probe);
    let inside = 0;
    model.lockedBy = undefined;
    for (let i = 0; i < callers.length; i++) {
      const caller = callers[i];
      if (caller === undefined) continue;
      this.restoreCaller(caller, codes[i] ?? 0, probe);
      const { stage } = caller;
      if (stage === 'leaving') model.lockedBy = caller;
      if (stage === 'in_secure' || stage === 'in_rpc') inside++;
    }
    this.loadedFree = model.config.secureThreads - inside;
    model.secureFree = this.loadedFree;
    this.relink();
  }

  private restoreGlobals(globals: number, probe: Probe | undefined): void {
    const { model, counters } = this;
    const { queue } = model;
    for (let i = 0; i < queue.counterCount; i++)
      counters[i] = ((globals >>> (i * COUNTER_BITS)) & ((1 << COUNTER_BITS) - 1)) - COUNTER_OFFSET;
    queue.loadCounters(counters);
    if (probe !== undefined) queue.exits = probe.exits;
    if (!this.sessionsChange) return;
    for (let s = 0; s < SESSION_COUNT; s++) {
      model.sessionIsSystem[s] = (globals & (1 << (SESSION_SHIFT + 2 * s))) !== 0;
      model.sessionIsClosed[s] = (globals & (2 << (SESSION_SHIFT + 2 * s))) !== 0;
    }
  }

  private restoreCaller(caller: Caller, code: number, probe: Probe | undefined): void {
    const { waiter } = caller;
    const place = (code >>> this.placeShift) & PLACE_MASK;
    caller.stage = STAGE_OF[place] ?? 'done';
    caller.index = code & this.indexMask;
    waiter.phase = PHASE_OF[place] ?? 'outside';
    waiter.completed = (code & this.completedBit) !== 0;
    caller.system = this.sessionsChange ? (code & this.systemBit) !== 0 : this.systemBySession(caller);
    waiter.system = caller.system;
    const behind = (code >>> this.behindShift) & this.behindMask;
    waiter.exitsSeen = this.model.queue.exits - (probe === undefined ? behind : this.probed(caller, behind, probe));
    caller.rpcLeft = (code >>> this.rpcShift) & this.rpcMask;
    waiter.relief = caller.relief && this.model.queue.sortsOwnCalls;
  }

  /** Put the waiters on their lists, as `codes` specify. */
  private relink(): void {
    const { model, codes, places, positionShift } = this;
    const { queue, callers } = model;
    const lists = queue.waiterLists;
    let waiting = 0;
    for (let i = 0; i < codes.length; i++) {
      const position = (codes[i] ?? 0) >>> positionShift;
      const waiter = callers[i]?.waiter;
      if (position === 0 || waiter === undefined) continue;
      const order = places[queue.listIndex(waiter)];
      if (order !== undefined) order[position - 1] = waiter;
      waiting++;
    }
    for (let l = 0; l < lists.length; l++) {
      const list = lists[l];
      const order = places[l];
      if (list === undefined || order === undefined) continue;
      list.head = undefined;
      list.tail = undefined;
      for (let p = 0; p < order.length && waiting > 0; p++) {
        const waiter = order[p];
        if (waiter === undefined) break;
        list.pushTail(waiter);
        order[p] = undefined;
      }
    }
  }

  private code(caller: Caller): number {
    const { stage, waiter, index, rpcLeft } = caller;
    switch (stage) {
      case 'idle':
        return index | (this.behindKept.everywhere ? this.behindOf(caller) : 0);
      case 'done':
        return DONE << this.placeShift;
      default: {
        let code = index | (placeOf(stage, waiter.phase) << this.placeShift) | (rpcLeft << this.rpcShift);
        if (waiter.completed) code |= this.completedBit;
        if (caller.system) code |= this.systemBit;
        return this.keepsBehind(stage) ? code | this.behindOf(caller) : code;
      }
    }
  }

  /** Whether the present call is a system call, if no session changes. */
  private systemBySession({ label, stage, index }: Caller): boolean {
    return stage !== 'idle' && stage !== 'done' && this.systemAt[label]?.[index] === true;
  }

  private behindOf({ label, waiter }: Caller): number {
    const behind = this.model.queue.exits - waiter.exitsSeen;
    if (behind === 0) return 0;
    if (behind < 0) throw new CallQueueAssertion(`caller ${label} has seen calls return that did not`);
    return Math.min(behind, this.behindKept.most) << this.behindShift;
  }

  private keepsBehind(stage: Stage): boolean {
    return stage === 'ready' || stage === 'limited' || (this.behindKept.everywhere && stage !== 'done');
  }

  private probed({ stage }: Caller, behind: number, probe: Probe): number {
    if (!this.keepsBehind(stage)) return probe.behind;
    const { most } = this.behindKept;
    return behind < most ? behind : most + probe.behind - 1;
  }
}

/** A counter of the discipline has left the range of a state; such values are impossible in a correct discipline. */
export class CounterOverflow extends Error {}
