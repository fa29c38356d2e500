import type { TraceSubject } from '../../trace/event.js';
import { atTime, type BoardVerdict } from '../../trace/linux/board-verdict.js';
import type { LinuxImport } from '../../trace/linux/import-linux.js';
import type { Spread, TraceStats } from '../../trace/timeline/stats.js';
import type { HangReport, LongCall, Starved } from '../../trace/waits/hang-report.js';

/** The figures of a trace, for people. */
export function statsText(stats: TraceStats): string {
  const { subject } = stats;
  const about = [subject.world, subject.queue && `queue ${subject.queue}`, subject.startedAt]
    .filter(Boolean)
    .join(', ');
  const lines = [
    ...(subject.title === undefined ? [] : [subject.title]),
    ...(about === '' ? [] : [about]),
    ...verdictLines(subject),
    `${stats.events} events in ${ms(stats.durationMs)}; ${stats.calls} calls, ${Math.round(stats.callsPerSecond)} a second, ` +
      `${stats.unfinished} unfinished`,
    `threads of secure world in use: ${threadUse(stats)}`,
    `ETHREAD_LIMIT ${stats.ethreadLimit}, wake-ups for calls that were not asleep ${stats.unusedWakeUps}, ` +
      `calls overtaken in the queue ${stats.overtaken.calls} (at most ${stats.overtaken.most} times)`,
    '',
    ...spreadTable('calls', stats.durationByPurpose),
    ...spreadTable('asleep in the queue, by client: a call', stats.asleepByClient),
    ...spreadTable('RPCs', stats.rpcByCommand),
  ];
  return lines.join('\n').trimEnd();
}

/** What whoever recorded it says became of it, as the page and `run` say it. */
function verdictLines({ verdict, originMs = 0 }: TraceSubject): string[] {
  if (verdict === undefined) return [];
  const { outcome, hangsSinceMs, explanation } = verdict;
  const since = hangsSinceMs === undefined ? '' : ` since ${ms(hangsSinceMs - originMs)}`;
  const word = outcome.replace('-', ' ').toUpperCase();
  return ['', `${word}${since}`, ...explanation.map((line) => `  ${line}`), ''];
}

/** What the record of a board says became of it, for people. */
export function boardVerdictText(
  { outcome, explanation, hangsSinceMs, exhausted }: BoardVerdict,
  found: LinuxImport,
): string {
  const word = outcome === 'stuck' && exhausted ? 'EXHAUSTED' : outcome.toUpperCase();
  return [
    `${word}${hangsSinceMs === undefined ? '' : ` since ${atTime(hangsSinceMs)}`}`,
    ...explanation.map((line) => `  ${line}`),
    '',
    `${found.calls} calls in ${found.lines} lines; ${found.stacks} stacks of tasks`,
    ...found.notes.map((note) => `note: ${note}`),
  ].join('\n');
}

/** Who held threads and who went without, for people. */
export function hangText(report: HangReport): string {
  const lines = [
    `${threadsText(report)}, ETHREAD_LIMIT ${report.ethreadLimit} times`,
    ...section('DEADLOCK: these calls wait for each other, for ever', report.deadlock),
    ...section(
      'Answers that are errors',
      Object.entries(report.errors).map(([error, count]) => `${error}: ${count}`),
    ),
    ...section('Held a thread longest', callTable(report.holders)),
    ...section('Waited for a thread', starvedTable(report.starved)),
    ...section('Unfinished at the end', callTable(report.unfinished, true)),
  ];
  return lines.join('\n');
}

/** Of very many threads those that were used. */
function threadUse({ threadUse: all }: TraceStats): string {
  const percent = (use: number) => `${Math.round(use * 100)} %`;
  if (all.length === 0) return 'none';
  if (all.length <= 16) return all.map(percent).join(', ');
  const used = all.flatMap((use, thread) => (use > 0 ? [`thread ${thread} ${percent(use)}`] : []));
  return [...used.slice(0, 16), ...(used.length > 16 ? [`${used.length - 16} more`] : [])].join(', ') || 'none';
}

const threadsFrom = {
  announced: 'that secure world announced',
  recorded: 'seen in its RPCs',
  inferred: 'inferred: so many calls were inside at once',
} as const;

function threadsText({ threads, threadsFrom: from }: HangReport): string {
  return `${threads} ${threads === 1 ? 'thread' : 'threads'} of secure world (${threadsFrom[from]})`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...lines.map((line) => `  ${line}`)];
}

function callTable(calls: readonly LongCall[], open = false): string[] {
  const rows = calls.map(({ call, client, thread, beginMs, heldMs, rpcMs, sitsIn }) => [
    String(call),
    ms(beginMs),
    ...(thread < 0 ? ['-', '-', '-'] : [String(thread), ms(heldMs), ms(rpcMs)]),
    open ? `${client}: ${sitsIn}` : client,
  ]);
  return alignedTable(['call', 'from', 'thread', 'held', 'in RPCs', open ? 'client: now' : 'client'], rows);
}

function starvedTable(starved: readonly Starved[]): string[] {
  const rows = starved.map(({ client, calls, ethreadLimit, asleepMs, longestMs, asleepAtEnd }) => [
    ms(asleepMs),
    ms(longestMs),
    String(calls),
    String(ethreadLimit),
    asleepAtEnd ? `${client}: STILL ASLEEP at the end` : client,
  ]);
  return alignedTable(['asleep', 'longest', 'calls', 'ETHREAD_LIMIT', 'client'], rows);
}

/** Columns of numbers, and last one of words. */
function alignedTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row.map((cell, column) => (column === head.length - 1 ? cell : cell.padStart(widths[column] ?? 0))).join('  '),
  );
}

/** Rows of a table that are printed; --json has them all. */
const mostRows = 100;

function spreadTable(title: string, spreads: Readonly<Record<string, Spread>>): string[] {
  const all = Object.entries(spreads);
  if (all.length === 0) return [];
  // Who waits longest first; a hostile trace has as many names as calls.
  const shown = all.sort(([, one], [, other]) => other.total - one.total).slice(0, mostRows);
  const names = shown.map(([name]) => name);
  const width = Math.max(title.length, ...names.map((name) => name.length));
  const row = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)} ${cells.map((cell) => cell.padStart(11)).join('')}`;
  return [
    row(title, ['count', 'median', 'p99', 'max', 'total']),
    ...shown.map(([name, { count, median, p99, max, total }]) =>
      row(name, [String(count), ms(median), ms(p99), ms(max), ms(total)]),
    ),
    ...(all.length > shown.length ? [`${all.length - shown.length} more`] : []),
    '',
  ];
}

/** A time for people: `12.3 us`, `4.56 ms`, `7.89 s`. */
export function ms(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return `${(value / 1000).toFixed(2)} s`;
  if (value === 0) return '0';
  if (size >= 1) return `${value.toFixed(2)} ms`;
  return `${(value * 1000).toFixed(1)} us`;
}
