import { CallQueueAssertion } from '../../../optee/call-queue/assertion.js';
import type { CallWaiter } from '../../../optee/call-queue/call-queue.js';
import { COUNTER_COUNT } from '../../../optee/call-queue/storable.js';
import type { Caller, Stage } from '../model/caller.js';
import { type QueueModel, SESSION_COUNT } from '../model/queue-model.js';
import { DONE, PHASE_OF, PLACE_BITS, placeOf, STAGE_OF } from './caller-place.js';

const PLACE_MASK = (1 << PLACE_BITS) - 1;
const COMPLETED = 1 << PLACE_BITS;
const SYSTEM = 1 << (PLACE_BITS + 1);
const BEHIND_SHIFT = PLACE_BITS + 2;

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
 * A state as a few 32-bit words, packed bit by bit: a code for each caller (its place, its place in its list, its
 * remaining work), then counters and sessions.
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

  /** Whether a caller makes a session a system session, or closes it. */
  private readonly sessionsChange: boolean;
  private readonly groups: readonly (readonly number[])[];
  private readonly behindKept: BehindKept;
  private readonly behindMask: number;
  private readonly indexShift: number;
  private readonly rpcShift: number;
  private readonly positionShift: number;
  private readonly indexMask: number;
  private readonly rpcMask: number;
  private readonly codeBits: number;
  private readonly codeMask: number;
  /** Bits for the counters and sessions. */
  private readonly globalBits: number;
  private readonly globalMask: number;
  private readonly counters = new Int32Array(COUNTER_COUNT);
  /** The codes of the last saved state, by caller, and as written: sorted for interchangeable callers. */
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
    const indexBits = bitsFor(Math.max(...callers.map(({ operations }) => operations.length)));
    const rpcBits = bitsFor(Math.max(0, ...rpcs));
    const behindBits = bitsFor(behindKept.most);
    this.behindMask = (1 << behindBits) - 1;
    this.indexShift = BEHIND_SHIFT + behindBits;
    this.rpcShift = this.indexShift + indexBits;
    this.positionShift = this.rpcShift + rpcBits;
    this.codeBits = this.positionShift + bitsFor(callers.length);
    if (this.codeBits > 31) throw new RangeError('callers with so many operations and RPCs cannot be explored');
    this.indexMask = (1 << indexBits) - 1;
    this.rpcMask = (1 << rpcBits) - 1;
    this.codeMask = 2 ** this.codeBits - 1;
    this.globalBits = this.sessionsChange ? SESSION_SHIFT + 2 * SESSION_COUNT : model.queue.counterCount * COUNTER_BITS;
    this.globalMask = 2 ** this.globalBits - 1;
    this.words = Math.ceil((callers.length * this.codeBits + this.globalBits) / 32);
    this.codes = new Int32Array(callers.length);
    this.saved = new Int32Array(callers.length);
    this.groups = symmetric ? interchangeable(callers).filter((group) => group.length > 1) : [];
    this.written = this.groups.length > 0 ? new Int32Array(callers.length) : this.saved;
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
    this.write(words, at);
  }

  /** The same as `save` for a state that is one step of this caller away from the last loaded one. */
  saveStep(words: Uint32Array, at: number, stepped: number): void {
    const { saved, codes, model, behindMask, positionShift } = this;
    const { callers, queue } = model;
    const { countsExits } = queue;
    const kept = ~(behindMask << BEHIND_SHIFT) & ((1 << positionShift) - 1);
    for (let i = 0; i < callers.length; i++) {
      const caller = callers[i];
      if (caller === undefined) break;
      const { waiter } = caller;
      const before = codes[i] ?? 0;
      // The queue may have changed another caller's phase, its completion and its position in a list.
      if (
        i === stepped ||
        waiter.phase !== PHASE_OF[before & PLACE_MASK] ||
        waiter.completed !== ((before & COMPLETED) !== 0)
      )
        saved[i] = this.code(caller);
      else {
        const code = before & kept;
        saved[i] = countsExits && this.keepsBehind(caller.stage) ? code | this.behindOf(caller) : code;
      }
    }
    this.write(words, at);
  }

  /** Write the saved codes with the positions of waiters, the counters and the sessions. */
  private write(words: Uint32Array, at: number): void {
    const { model, saved, written, codeBits, globalBits, positionShift } = this;
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
    if (written !== saved) {
      for (let i = 0; i < saved.length; i++) written[i] = saved[i] ?? 0;
      for (const group of this.groups) sortCodes(written, group);
    }

    const globals = this.globals();
    let word = 0;
    let filled = 0;
    let to = at;
    for (let i = 0; i < written.length; i++) {
      const code = written[i] ?? 0;
      word |= code << filled;
      filled += codeBits;
      if (filled < 32) continue;
      words[to++] = word;
      filled -= 32;
      word = filled === 0 ? 0 : code >>> (codeBits - filled);
    }
    word |= globals << filled;
    filled += globalBits;
    if (filled >= 32) {
      words[to++] = word;
      filled -= 32;
      word = filled === 0 ? 0 : globals >>> (globalBits - filled);
    }
    if (filled > 0) words[to] = word;
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

  /** Set the model to the state at `words` from `at`. */
  load(words: Uint32Array, at: number, probe?: Probe): void {
    const { codes, codeBits, codeMask, globalBits, globalMask } = this;
    let from = at;
    let word = words[from++] ?? 0;
    let taken = 0;
    for (let i = 0; i < codes.length; i++) {
      let code = word >>> taken;
      taken += codeBits;
      if (taken >= 32) {
        taken -= 32;
        word = words[from++] ?? 0;
        if (taken > 0) code |= word << (codeBits - taken);
      }
      codes[i] = code & codeMask;
    }
    let globals = word >>> taken;
    taken += globalBits;
    if (taken > 32) globals |= (words[from] ?? 0) << (globalBits - taken + 32);
    this.restore(globals & globalMask, probe);
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
    const place = code & PLACE_MASK;
    caller.stage = STAGE_OF[place] ?? 'done';
    waiter.phase = PHASE_OF[place] ?? 'outside';
    waiter.completed = (code & COMPLETED) !== 0;
    caller.system = (code & SYSTEM) !== 0;
    waiter.system = caller.system;
    const behind = (code >>> BEHIND_SHIFT) & this.behindMask;
    waiter.exitsSeen = this.model.queue.exits - (probe === undefined ? behind : this.probed(caller, behind, probe));
    caller.index = (code >>> this.indexShift) & this.indexMask;
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
        return (index << this.indexShift) | (this.behindKept.everywhere ? this.behindOf(caller) : 0);
      case 'done':
        return DONE;
      default: {
        let code = placeOf(stage, waiter.phase) | (index << this.indexShift) | (rpcLeft << this.rpcShift);
        if (waiter.completed) code |= COMPLETED;
        if (caller.system) code |= SYSTEM;
        return this.keepsBehind(stage) ? code | this.behindOf(caller) : code;
      }
    }
  }

  private behindOf({ label, waiter }: Caller): number {
    const behind = this.model.queue.exits - waiter.exitsSeen;
    if (behind === 0) return 0;
    if (behind < 0) throw new CallQueueAssertion(`caller ${label} has seen calls return that did not`);
    return Math.min(behind, this.behindKept.most) << BEHIND_SHIFT;
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

/** Bits for a number from 0 to `most`. */
function bitsFor(most: number): number {
  return most === 0 ? 0 : 32 - Math.clz32(most);
}

/** Groups of callers with equal operations on which no other caller depends. */
function interchangeable(callers: readonly Caller[]): number[][] {
  const needed = new Set(
    callers.flatMap(({ operations }) => operations.map((each) => ('needs' in each ? each.needs : -1))),
  );
  const groups = new Map<string, number[]>();
  for (const { label, operations, repeats } of callers) {
    const key = needed.has(label) ? `caller ${label}` : JSON.stringify([operations, repeats]);
    groups.set(key, [...(groups.get(key) ?? []), label]);
  }
  return [...groups.values()];
}

/** Sort the codes of a group of callers. */
function sortCodes(codes: Int32Array, group: readonly number[]): void {
  for (let i = 1; i < group.length; i++) {
    const code = codes[group[i] ?? 0] ?? 0;
    let j = i - 1;
    for (; j >= 0 && (codes[group[j] ?? 0] ?? 0) > code; j--) {
      codes[group[j + 1] ?? 0] = codes[group[j] ?? 0] ?? 0;
    }
    codes[group[j + 1] ?? 0] = code;
  }
}
