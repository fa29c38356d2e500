import { counted } from '../counted.js';
import { journalMessage } from './journal-message.js';
import { withoutPrefix } from './log-prefix.js';
import { TaskStacks } from './task-stacks.js';
import { parseTracepoint, type TracepointLine, tracepointName } from './tracepoint-line.js';

/** Number of refused lines that are reported one by one. */
const refusalsTold = 20;
/** Largest number of lines that are joined to restore one line broken by a mail program or terminal. */
const mostPieces = 3;
/**
 * `CPU:1 [LOST 12 EVENTS]` in the kernel's file, `CPU:1 [12 EVENTS DROPPED]` from trace-cmd; the number may be missing.
 */
const gapPattern = /^\s*CPU:\d+ \[(?:LOST )?(?<lost>\d+ )?EVENTS(?: DROPPED)?\]/;
/** The rest of a broken line: registers and separators. */
const continuation = /^[\s0-9a-fx,()ret]+$/i;
/** `# entries-in-buffer/entries-written: 194/4096   #P:2` */
const entriesPattern = /entries-in-buffer\/entries-written:\s*(\d+)\/(\d+)/;
/** A line of another event in the same file, such as `irq_handler_exit`. */
const eventTime = /\[\d{1,5}\]\s+(?:\S{1,10}\s+)?(\d{1,12}\.\d{1,9}):\s+\w/;

/** A record as read from text. */
export interface RecordText {
  /** In order of time. */
  readonly record: readonly TracepointLine[];
  /** The text was not in order; lines with the same time may be in another order. */
  readonly sorted: boolean;
  readonly lost: boolean;
  readonly stacks: TaskStacks;
  readonly nameOf: (pid: number) => string;
  /** The last time in the text, in milliseconds. */
  readonly end: number;
  readonly refused: readonly { readonly line: number; readonly why: string }[];
  readonly refusedCount: number;
  readonly notes: readonly string[];
}

/** Read the lines of the tracepoints, and the stacks of tasks, in any order and with any other lines between them. */
export function readLines(lines: Iterable<string>): RecordText {
  const record: TracepointLine[] = [];
  const stacks = new TaskStacks();
  const refused: { line: number; why: string }[] = [];
  const notes: string[] = [];
  let refusedCount = 0;
  let lineNumber = 0;
  let lost = false;
  let otherTime = Number.NEGATIVE_INFINITY;
  let relative = false;
  let broken: { text: string; line: number; pieces: number; why: string } | undefined;
  const refuse = (line: number, why: string) => {
    refusedCount++;
    if (refused.length < refusalsTold) refused.push({ line, why });
  };
  const take = (text: string, line: number, pieces: number): void => {
    const parsed = parseTracepoint(text);
    if (typeof parsed !== 'string') {
      record.push(parsed);
      relative ||= parsed.clock === 'relative';
    } else if (/\)\s*$/.test(text) || pieces >= mostPieces) refuse(line, parsed);
    else broken = { text, line, pieces, why: parsed };
  };
  for (const each of lines) {
    lineNumber++;
    // Remove terminal colours, carriage returns, and HTML escapes of `<...>`.
    const line = journalMessage(each)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      .replace(/\x1b\[[0-9;]*[A-Za-z]|\r/g, '')
      .replace(/&lt;\.\.\.&gt;/g, '<...>');
    const names = line.includes(tracepointName);
    if (broken !== undefined) {
      const { text, line: first, pieces, why } = broken;
      broken = undefined;
      if (continuation.test(withoutPrefix(line).text)) {
        take(`${text} ${withoutPrefix(line).text.trim()}`.replace(/\s+,/g, ','), first, pieces + 1);
        continue;
      }
      refuse(first, why);
    }
    if (names) {
      // The kernel's headers, and commands, may mention the tracepoints without being one.
      if (!line.trimStart().startsWith('#')) take(line, lineNumber, 1);
      continue;
    }
    const gap = line.includes('EVENTS') ? gapPattern.exec(withoutPrefix(line).text) : null;
    if (gap !== null) {
      lost = true;
      refuse(lineNumber, `the kernel lost ${gap.groups?.lost ?? ''}events here: its buffer was full`);
      continue;
    }
    const [, kept, written] = entriesPattern.exec(line.slice(0, 200)) ?? [];
    if (kept !== undefined && Number(written) > Number(kept))
      notes.push(`the kernel's buffer had ${kept} of ${written} events: the older ones are not in the record`);
    if (stacks.read(line)) continue;
    const time = eventTime.exec(line.slice(0, 200))?.[1];
    if (time !== undefined) otherTime = Math.max(otherTime, Number(time) * 1000);
  }
  if (broken !== undefined) refuse(broken.line, broken.why);
  stacks.end();
  const { ordered, sorted } = inOrder(record);
  if (sorted) notes.push('its lines were not in order of time, and were sorted');
  const counts = record.some(({ clock }) => clock === 'count');
  if (counts) notes.push('its clock does not count time (trace_clock): one microsecond here is one count');
  if (stacks.orphans > 0)
    notes.push(
      `${counted(stacks.orphans, 'line')} of stacks ${stacks.orphans === 1 ? 'belongs' : 'belong'} to no task: a line such as \`task:... pid:...\` must come before them, or \`/proc/PID/stack:\` in each, as of \`grep . /proc/*/stack\``,
    );
  notes.push(...stacks.channels.notes());
  const last = ordered.at(-1)?.time ?? 0;
  const comparable = !counts && !relative;
  const end = Math.max(last, comparable ? Math.max(otherTime, stacks.lastTime ?? last) : last);
  return {
    record: ordered,
    sorted,
    lost,
    stacks: comparable ? freshStacks(stacks, ordered) : stacks,
    nameOf: names(ordered, stacks),
    end,
    refused,
    refusedCount,
    notes,
  };
}

/** Sort by time. A record in reverse order is reversed first, so that lines with the same time are, too. */
function inOrder(record: readonly TracepointLine[]): {
  readonly ordered: readonly TracepointLine[];
  readonly sorted: boolean;
} {
  let forward = 0;
  let backward = 0;
  record.forEach(({ time }, index) => {
    const before = record[index - 1]?.time ?? time;
    if (time > before) forward++;
    else if (time < before) backward++;
  });
  if (backward === 0) return { ordered: record, sorted: false };
  const from = backward > forward ? [...record].reverse() : [...record];
  return { ordered: from.sort((one, other) => one.time - other.time), sorted: true };
}

/** A stack printed before the last line of its task is outdated. */
function freshStacks(stacks: TaskStacks, record: readonly TracepointLine[]): TaskStacks {
  const last = new Map(record.map(({ pid, time }) => [pid, time]));
  for (const [pid, { time }] of stacks.stacks)
    if (time !== undefined && time < (last.get(pid) ?? time)) stacks.stacks.delete(pid);
  return stacks;
}

/** Names of tasks. A task's name may be unknown in some lines, and changes when it executes another program. */
function names(record: readonly TracepointLine[], stacks: TaskStacks): (pid: number) => string {
  const known = new Map<number, string>();
  for (const { pid, comm } of stacks.stacks.values()) if (comm !== '') known.set(pid, comm);
  for (const { pid, comm } of record) if (comm !== '') known.set(pid, comm);
  return (pid) => `${known.get(pid) ?? '<...>'}-${pid}`;
}
