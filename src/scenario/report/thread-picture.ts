import { formatTime } from '../duration.js';
import type { ThreadChange, ThreadUse } from '../run/thread-recorder.js';
import type { RunResult } from '../scenario-result.js';
import type { Escape, Paint } from './lines.js';

/** The character for each use of a thread context. */
const marks: Readonly<Record<ThreadUse, string>> = { secure: '█', rpc: '░', free: '·' };

/** Mostly free, but not the whole time. */
const briefly = '▁';

/** The legend, printed below a picture. */
export const pictureLegend = `${marks.secure} in secure world, ${marks.rpc} in an RPC (still held), ${marks.free} free, ${briefly} free, but briefly in use`;

const levels = '▁▂▃▄▅▆▇█';
const labelWidth = 10;

const markColours: Readonly<Record<string, Escape>> = {
  [marks.secure]: 'blue',
  [marks.rpc]: 'magenta',
  [marks.free]: 'dim',
  [briefly]: 'blue',
};

/**
 * The thread contexts over time, one row each. A column shows the predominant use in its interval. Below: the maximum
 * number of calls that slept in the queue at once, and the time from which calls waited that never return.
 */
export function threadPicture(run: RunResult, width: number, paint: Paint): string[] {
  const columns = width - labelWidth;
  // After a hang, the picture extends a little beyond the run, so that the endless wait is visible.
  const hangs = run.hangsSince !== null;
  const end = run.duration * (hangs ? 1.2 : 1) || 1;
  const label = (text: string) => text.padEnd(labelWidth);
  const uses = run.threads.map((changes) => useRow(changes, columns, end));
  const rows = folded(uses).map(
    ({ from, to, row }) => label(from === to ? `thread ${from}` : `${from} to ${to}`) + painted(row, paint),
  );
  const most = run.asleep.reduce((peak, { calls }) => Math.max(peak, calls), 0);
  const last = run.outcome === 'cut-off' ? `${formatTime(run.duration)} (limit)` : formatTime(run.duration);
  const right = hangs ? `${last}, then for ever` : last;
  return [
    ...rows,
    ...(most === 0 ? [] : [label('asleep') + paint(asleepRow(run, columns, end, most), 'yellow')]),
    `${label('')}0${right.padStart(columns - 1)}`,
    ...(run.hangsSince === null ? [] : [label('') + caret(run, run.hangsSince, columns, end)]),
    ...(most === 0 ? [] : [`${label('')}at most ${most} asleep`]),
  ];
}

/** If more consecutive threads than this do the same, they share a line. */
const mostAlike = 2;

function folded(
  rows: readonly string[],
): readonly { readonly from: number; readonly to: number; readonly row: string }[] {
  const groups: { from: number; to: number; row: string }[] = [];
  rows.forEach((row, thread) => {
    const last = groups.at(-1);
    if (last?.row === row) last.to = thread;
    else groups.push({ from: thread, to: thread, row });
  });
  return groups.flatMap((group) => {
    const { from, to, row } = group;
    if (to - from >= mostAlike) return [group];
    return rows.slice(from, to + 1).map((_, index) => ({ from: from + index, to: from + index, row }));
  });
}

/** Adjacent equal characters share one escape sequence. */
function painted(row: string, paint: Paint): string {
  return row.replaceAll(/(.)\1*/g, (same, mark: string) => {
    const colour = markColours[mark];
    return colour === undefined ? same : paint(same, colour);
  });
}

/** Marks when calls began to wait that never return: `^ closed at 21.1 ms`. */
function caret({ outcome }: RunResult, at: number, columns: number, end: number): string {
  const column = Math.min(columns - 1, Math.floor((at / end) * columns));
  const words = `${outcome === 'deadlock' ? 'closed at' : 'since'} ${formatTime(at)}`;
  return column + 2 + words.length <= columns
    ? `${' '.repeat(column)}^ ${words}`
    : `${' '.repeat(Math.max(0, column - words.length - 1))}${words} ^`;
}

function useRow(changes: readonly ThreadChange[], columns: number, end: number): string {
  let row = '';
  let index = 0;
  for (let column = 0; column < columns; column++) {
    const from = (column / columns) * end;
    const to = ((column + 1) / columns) * end;
    const share: Record<ThreadUse, number> = { secure: 0, rpc: 0, free: 0 };
    while ((changes[index + 1]?.time ?? Number.POSITIVE_INFINITY) <= from) index++;
    for (let at = index; at < changes.length && (changes[at]?.time ?? to) < to; at++) {
      const change = changes[at];
      if (change === undefined) break;
      share[change.use] += Math.min(changes[at + 1]?.time ?? to, to) - Math.max(change.time, from);
    }
    const uses = Object.keys(marks) as ThreadUse[];
    const most = uses.reduce((one, other) => (share[other] > share[one] ? other : one));
    row += most === 'free' && share.secure + share.rpc > 0 ? briefly : marks[most];
  }
  return row;
}

function asleepRow({ asleep }: RunResult, columns: number, end: number, most: number): string {
  const peaks = new Array<number>(columns).fill(0);
  const columnOf = (time: number) => Math.min(columns - 1, Math.floor((time / end) * columns));
  asleep.forEach(({ time, calls }, index) => {
    const to = asleep[index + 1]?.time ?? end;
    // An interval of no duration is not drawn.
    if (to === time) return;
    for (let column = columnOf(time); column <= columnOf(to); column++)
      peaks[column] = Math.max(peaks[column] ?? 0, calls);
  });
  return peaks.map((peak) => (peak === 0 ? ' ' : levels.charAt(Math.ceil((peak / most) * levels.length) - 1))).join('');
}
