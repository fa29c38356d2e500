import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import { OpteeSmc, OpteeSmcReturn } from '../../protocol/optee-smc.js';
import { show } from '../../show.js';
import { counted } from '../counted.js';
import { maxThreads } from '../event.js';
import type { TraceRecorder } from '../trace.js';
import { blockedIn, isInRpc, isInSecureWorld } from './blocked-in.js';
import { type RecordText, readLines } from './record-lines.js';
import { type RecordedWait, RecordWithWaits } from './record-with-waits.js';
import { RecordedCalls } from './recorded-calls.js';
import { rpcNeeds } from './rpc-needs.js';
import type { TracepointLine } from './tracepoint-line.js';

/** The result of importing a record of Linux's tracepoints. */
export interface LinuxImport {
  /** Number of lines of the two tracepoints that were used. */
  readonly lines: number;
  /** The first lines that could not be used, with the reason. */
  readonly refused: readonly { readonly line: number; readonly why: string }[];
  readonly refusedCount: number;
  /** Number of calls, of calls that began before the record, and of lines that are missing within the record. */
  readonly calls: number;
  readonly beganBefore: number;
  readonly missing: number;
  /** Number of task stacks that were found and used. */
  readonly stacks: number;
  /** Remarks on the record, in sentences. */
  readonly notes: readonly string[];
}

export interface LinuxImportOptions {
  /** Number of thread contexts of this OP-TEE (CFG_NUM_THREADS), if known. */
  readonly threads?: number;
}

const optionNames: OptionNames<LinuxImportOptions> = { threads: true };

/** Largest number of lines of one task with the same time whose order is corrected. */
const mostAtOnce = 64;

/**
 * Import what Linux's tracepoints `optee_invoke_fn_begin` and `optee_invoke_fn_end` recorded, in any format that a
 * kernel or tool prints, and stacks of tasks in the same text. The tracepoints are in drivers/tee/optee/optee_trace.h.
 * They record each entry of a yielding call to secure world and each return, with the registers. They do not record the
 * wait before a call's first entry (Linux 6.8 and later sleep there), the command of an RPC, the session, or which call
 * woke another. Stacks show which tasks sleep in the queue or are in an RPC, and what they are blocked in; if that leads
 * to another call, an `rpc-wait` event says so from the time at which both calls are in their last states.
 */
export function importLinuxTrace(
  lines: Iterable<string>,
  into: TraceRecorder,
  options: LinuxImportOptions = {},
): LinuxImport {
  requireKnownOptions('importLinuxTrace', options, optionNames);
  const { threads } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= maxThreads))
    throw new RangeError(`importLinuxTrace: threads is ${show(threads)}; allowed: integers from 1 to ${maxThreads}`);
  const text = readLines(lines);
  const { record } = text;
  into.describe({ world: 'Linux, from tracepoints', clock: 'linux', ...(threads === undefined ? {} : { threads }) });
  // The first pass collects what the second needs at its beginning.
  const known = makeCalls(text, { record: () => undefined, describe: () => undefined }, []);
  const full = known.lastRefusal > known.lastFreed;
  const highest = [...known.threadsSeen].reduce((most, thread) => Math.max(most, thread), -1);
  const unseen = full ? Array.from({ length: highest + 1 }, (_, thread) => thread) : [];
  const held = unseen.filter((thread) => !known.threadsSeen.has(thread));
  const waits = new RecordWithWaits(into, waitsOf(known, text, held.length));
  const made = makeCalls(text, waits, held);
  waits.end();
  if (made.calls > 0 && text.end > (record.at(-1)?.time ?? Number.NEGATIVE_INFINITY))
    made.put(text.end, { type: 'mark', text: 'the record ends' });
  const { beganBefore, missing } = made.gaps;
  return {
    lines: record.length,
    refused: text.refused,
    refusedCount: text.refusedCount,
    calls: made.calls,
    beganBefore,
    missing,
    stacks: text.stacks.stacks.size,
    notes: [
      ...text.notes,
      ...(beganBefore === 0 ? [] : [`${counted(beganBefore, 'call')} had begun before the record did`]),
      ...(missing === 0
        ? []
        : [
            `${counted(missing, 'line')} ${missing === 1 ? 'is' : 'are'} missing between others: the record has gaps there`,
          ]),
    ],
  };
}

/**
 * What the RPCs at the end of the record wait for, in order of time.
 * @param before number of calls that come before those known.
 */
function waitsOf(known: RecordedCalls, text: RecordText, before: number): readonly RecordedWait[] {
  const open = known.openCalls();
  const since = new Map([...open.values()].flat().map((call) => [call.number, call.since]));
  return rpcNeeds(open, text.stacks.stacks, text.nameOf)
    .map(({ call, needs, through }) => ({
      time: Math.max(since.get(call) ?? text.end, since.get(needs) ?? Number.NEGATIVE_INFINITY),
      call: call + before,
      needs: needs === 0 ? 0 : needs + before,
      through,
    }))
    .sort((one, other) => one.time - other.time);
}

const isFresh = ({ which, registers }: TracepointLine) => which === 'begin' && registers[0] !== OpteeSmc.returnFromRpc;

function makeCalls(text: RecordText, into: TraceRecorder, unseenThreads: readonly number[]): RecordedCalls {
  const { record, end } = text;
  const continued = continuedLines(record);
  const calls = new RecordedCalls(into, record[0]?.time ?? end, text.nameOf, (line) => continued.has(line));
  for (const thread of unseenThreads) calls.holdUnseen(thread);
  for (const line of begunBefore(text)) calls.beganBefore(line);
  const unseen = callsOfStacks(text);
  let begun = 0;
  const sleepUntil = (time: number) => {
    for (let next = unseen[begun]; next !== undefined && next.since <= time; next = unseen[begun]) {
      if (next.state === 'rpc') calls.inRpcUnseen(next.since, next.pid);
      else if (next.state === 'secure') calls.insideUnseen(next.since, next.pid);
      else calls.sleepBeforeEntry(next.since, next.pid);
      begun++;
    }
  };
  for (let from = 0; from < record.length; ) {
    const { time = 0 } = record[from] ?? {};
    let to = from + 1;
    while (to < record.length && record[to]?.time === time) to++;
    sleepUntil(time - 1e-9);
    const moment = record.slice(from, to);
    for (const line of text.sorted && moment.length > 1 ? oneMoment(moment, calls) : moment) calls.read(line);
    from = to;
  }
  sleepUntil(Number.POSITIVE_INFINITY);
  return calls;
}

/** Lines of calls that a later line continues. */
function continuedLines(record: readonly TracepointLine[]): ReadonlySet<TracepointLine> {
  const continued = new Set<TracepointLine>();
  const next = new Map<string, TracepointLine>();
  for (const line of [...record].reverse()) {
    const key = `${line.pid} ${line.param}`;
    const later = next.get(key);
    if (later !== undefined && !startsOver(line, later)) continued.add(line);
    next.set(key, line);
  }
  return continued;
}

/** A call that was refused begins again with the same registers. */
const startsOver = (line: TracepointLine, later: TracepointLine) =>
  isFresh(later) && !(line.which === 'end' && line.registers[0] === OpteeSmcReturn.ethreadLimit);

/** Lines with the same time, with those of each task in a possible order. */
function* oneMoment(moment: readonly TracepointLine[], calls: RecordedCalls): Generator<TracepointLine> {
  const pending = new Map<number, TracepointLine[]>();
  for (const line of moment) {
    const lines = pending.get(line.pid);
    if (lines === undefined) pending.set(line.pid, [line]);
    else lines.push(line);
  }
  for (const { pid } of moment) {
    const lines = pending.get(pid) ?? [];
    // With this many lines at one time, the record is not plausible; keep their order.
    const next = lines.length > mostAtOnce ? -1 : lines.findIndex((line) => calls.fits(line));
    yield* lines.length > mostAtOnce ? lines.splice(0) : lines.splice(Math.max(0, next), 1);
  }
}

/**
 * For each call whose beginning is not recorded, its first line; the innermost call of a task comes last. After lost
 * events, a line may be missing as well.
 */
function begunBefore({ record, lost }: RecordText): readonly TracepointLine[] {
  const seen = new Map<number, Set<string>>();
  const begun = new Set<number>();
  const found: TracepointLine[] = [];
  for (const line of record) {
    const params = seen.get(line.pid) ?? new Set();
    seen.set(line.pid, params);
    if (isFresh(line)) begun.add(line.pid);
    else if (!params.has(line.param) && !(lost && begun.has(line.pid))) found.push(line);
    params.add(line.param);
  }
  return found.reverse();
}

/** A call that only the stack of its task shows. */
interface CallOfStack {
  readonly pid: number;
  readonly since: number;
  readonly state: 'queue' | 'rpc' | 'secure';
}

/**
 * Calls that only the stacks of their tasks show, in order of time: those that sleep in the queue without having been
 * refused, and those in an RPC or in secure world of tasks that have no line in the record.
 */
function callsOfStacks({ record, stacks, end }: RecordText): readonly CallOfStack[] {
  const last = new Map(record.map((line) => [line.pid, line]));
  const begin = record[0]?.time ?? 0;
  const calls: CallOfStack[] = [];
  for (const stack of stacks.stacks.values()) {
    const line = last.get(stack.pid);
    const inRpc = line === undefined && isInRpc(stack);
    const asleep = blockedIn(stack).kind === 'queue';
    const inside = line === undefined && isInSecureWorld(stack);
    if (!inRpc && !asleep && !inside) continue;
    if (line?.which === 'end' && line.registers[0] === OpteeSmcReturn.ethreadLimit) continue;
    const { time = end, blockedMs = 0 } = stack;
    const earliest = Math.max(begin, line?.time ?? begin);
    const since = Math.min(end, Math.max(earliest, time - blockedMs));
    // A task may sleep in the queue within an RPC of its own.
    if (inRpc) calls.push({ pid: stack.pid, since, state: 'rpc' });
    if (inside) calls.push({ pid: stack.pid, since, state: 'secure' });
    if (asleep) calls.push({ pid: stack.pid, since, state: 'queue' });
  }
  return calls.sort((one, other) => one.since - other.since);
}
