import { explained } from '../../scenario/report/lines.js';
import { counted } from '../../trace/counted.js';
import type { TraceSubject } from '../../trace/event.js';
import { atTime, type BoardVerdict } from '../../trace/linux/board-verdict.js';
import type { LinuxImport } from '../../trace/linux/import-linux.js';
import type { Spread, TraceStats } from '../../trace/timeline/stats.js';
import type { Timeline } from '../../trace/timeline/timeline.js';
import type { TraceVerdict } from '../../trace/verdict.js';
import type { HangReport, LongCall, Starved } from '../../trace/waits/hang-report.js';
import { reportTable } from '../output/print-report.js';

/** Statistics of a trace as text. */
export function statsText(stats: TraceStats, width: number): string {
  const { subject } = stats;
  const about = [subject.world, subject.queue && `queue ${subject.queue}`, subject.startedAt]
    .filter(Boolean)
    .join(', ');
  const lines = [
    ...(subject.title === undefined ? [] : [subject.title]),
    ...(about === '' ? [] : [about]),
    ...verdictLines(subject),
    `${stats.events} events in ${ms(stats.durationMs)}; ${stats.calls} calls, ${stats.unfinished} unfinished; ` +
      `${Math.round(stats.callsPerSecond)} calls/s on average`,
    `threads of secure world in use: ${threadUse(stats)}`,
    `ETHREAD_LIMIT ${stats.ethreadLimit}, wake-ups for calls that were not asleep ${stats.unusedWakeUps}, ` +
      `calls overtaken in the queue ${stats.overtaken.calls} (at most ${stats.overtaken.most} times)`,
    '',
    ...spreadTable('calls', stats.durationByPurpose, width),
    ...spreadTable('asleep in the queue, by client: a call', stats.asleepByClient, width),
    ...spreadTable('RPCs', stats.rpcByCommand, width),
  ];
  return lines.join('\n').trimEnd();
}

/** The verdict stored in a trace, in the words of the page and of `run`. */
function verdictLines({ verdict, originMs = 0 }: TraceSubject): string[] {
  if (verdict === undefined) return [];
  const { outcome, hangsSinceMs, explanation } = verdict;
  const since = hangsSinceMs === undefined ? '' : ` since ${ms(hangsSinceMs - originMs)}`;
  const word = outcome.replace('-', ' ').toUpperCase();
  return ['', `${word}${since}`, ...explanation.map((line) => `  ${line}`), ''];
}

/** The verdict on a board's record as text. */
export function boardVerdictText(
  { outcome, explanation, hangsSinceMs, exhausted }: BoardVerdict,
  found: LinuxImport,
): string {
  const word =
    outcome === 'stuck' && exhausted ? 'EXHAUSTED' : outcome === 'no-calls' ? 'NO CALLS' : outcome.toUpperCase();
  return [
    `${word}${hangsSinceMs === undefined ? '' : ` since ${atTime(hangsSinceMs)}`}`,
    ...explanation.map((line) => `  ${line}`),
    '',
    `${counted(found.calls, 'call')} in ${counted(found.lines, 'line')} of tracepoints; stacks of ${counted(found.stacks, 'task')}`,
    ...found.notes.map((note) => `note: ${note}`),
  ].join('\n');
}

export type ReportClock = 'run' | 'kernel' | 'none';

/** The clock of a trace's times. Stacks without times, taken at one moment, have none. */
export function clockOf({ table, begin, end }: Timeline): ReportClock {
  if (table.subject.clock !== 'linux') return 'run';
  return begin === end ? 'none' : 'kernel';
}

/**
 * A report of the calls that hold threads and of those that wait, as text.
 * @param clock `kernel`: times are printed in the kernel's format; `none`: there are none, only states.
 * @param verdict the verdict printed before it, which explains a deadlock already.
 */
export function hangText(report: HangReport, width: number, clock: ReportClock, verdict?: TraceVerdict): string {
  // A section is indented by two.
  const room = width - 2;
  const lines = [
    `${threadsText(report)}, ETHREAD_LIMIT ${counted(report.ethreadLimit, 'time')}`,
    ...(verdict?.outcome === 'deadlock'
      ? []
      : section('DEADLOCK: these calls wait for each other, for ever', report.deadlock)),
    ...section(
      'Error results',
      Object.entries(report.errors).map(([error, count]) => `${error}: ${count}`),
    ),
    ...section('Held a thread the longest', callTable(report.holders, room, clock)),
    ...section('Waited for a thread', clock === 'none' ? [] : starvedTable(report.starved, room)),
    ...section('Unfinished at the end', callTable(report.unfinished, room, clock, true)),
  ];
  return lines.join('\n');
}

/** The use of threads; if there are very many, only of those that were used. */
function threadUse({ threadUse: all }: TraceStats): string {
  const percent = (use: number) => `${Math.round(use * 100)} %`;
  if (all.length === 0) return 'none';
  if (all.length <= 16) return all.map(percent).join(', ');
  const used = all.flatMap((use, thread) => (use > 0 ? [`thread ${thread} ${percent(use)}`] : []));
  return [...used.slice(0, 16), ...(used.length > 16 ? [`${used.length - 16} more`] : [])].join(', ') || 'none';
}

const threadsFrom = {
  announced: 'announced by secure world',
  recorded: 'seen in its RPCs',
  inferred: 'inferred from the number of calls inside at the same time',
} as const;

function threadsText({ threads, threadsFrom: from }: HangReport): string {
  return `${threads} ${threads === 1 ? 'thread' : 'threads'} of secure world (${threadsFrom[from]})`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...lines.map((line) => `  ${line}`)];
}

function callTable(calls: readonly LongCall[], width: number, clock: ReportClock, open = false): string[] {
  const rows = calls.map(({ call, client, thread, beginMs, heldMs, rpcMs, sitsIn }) => [
    String(call),
    clock === 'none' ? '-' : clock === 'kernel' ? atTime(beginMs) : ms(beginMs),
    ...(thread < 0 ? ['-', '-', '-'] : [String(thread), ...[heldMs, rpcMs].map(clock === 'none' ? () => '-' : ms)]),
    open ? `${client}: ${sitsIn}` : client,
  ]);
  return reportTable(['call', 'from', 'thread', 'held', 'in RPCs', open ? 'client: now' : 'client'], rows, width);
}

function starvedTable(starved: readonly Starved[], width: number): string[] {
  const rows = starved.map(({ client, calls, ethreadLimit, asleepMs, longestMs, asleepAtEnd }) => [
    ms(asleepMs),
    ms(longestMs),
    String(calls),
    String(ethreadLimit),
    asleepAtEnd ? `${client}: STILL ASLEEP at the end` : client,
  ]);
  return reportTable(['asleep', 'longest', 'calls', 'ETHREAD_LIMIT', 'client'], rows, width);
}

/** Largest number of printed rows of a table; --json prints all. */
const mostRows = 100;

function spreadTable(title: string, spreads: Readonly<Record<string, Spread>>, width: number): string[] {
  const all = Object.entries(spreads);
  if (all.length === 0) return [];
  // Longest wait first; a hostile trace may have as many names as calls.
  const shown = all.sort(([, one], [, other]) => other.total - one.total).slice(0, mostRows);
  const rows = shown.map(([name, { count, median, p99, max, total }]) => [
    name,
    String(count),
    ...[median, p99, max, total].map(ms),
  ]);
  return [
    ...figuresTable([title, 'count', 'median', 'p99', 'max', 'total'], rows, width),
    ...(all.length > shown.length ? [`${all.length - shown.length} more`] : []),
    '',
  ];
}

/** A table with a name and figures; if it is too wide, several lines per name. */
function figuresTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string[] {
  const [title = '', ...names] = head;
  const longest = Math.max(title.length, ...rows.map(([name = '']) => name.length));
  if (longest + 1 + names.length * 11 > width)
    return [
      `${title}:`,
      ...rows.flatMap(([name = '', ...cells]) => [
        ...explained(`  ${name}`, width),
        ...explained(`    ${cells.map((cell, column) => `${names[column]} ${cell}`).join(', ')}`, width),
      ]),
    ];
  const line = ([name = '', ...cells]: readonly string[]) =>
    `${name.padEnd(longest)} ${cells.map((cell) => cell.padStart(11)).join('')}`;
  return [head, ...rows].map(line);
}

/** A time as text: `12.3 us`, `4.56 ms`, `7.89 s`. */
export function ms(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return `${(value / 1000).toFixed(2)} s`;
  if (value === 0) return '0';
  if (size >= 1) return `${value.toFixed(2)} ms`;
  return `${(value * 1000).toFixed(1)} us`;
}
