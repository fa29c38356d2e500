import { formatTime } from '../duration.js';
import type { ThreadChange, ThreadUse } from '../run/thread-recorder.js';
import type { RunResult } from '../scenario-result.js';

/** What stands for each use of a thread context in the picture. */
const marks: Readonly<Record<ThreadUse, string>> = { secure: '█', rpc: '░', free: '·' };

/** Free for the most part of the time, but not all of it. */
const briefly = '▁';

/** What the marks mean, for below a picture. */
export const pictureLegend = `${marks.secure} in secure world, ${marks.rpc} out in an RPC (still taken), ${marks.free} free, ${briefly} free but for a moment`;

const levels = '▁▂▃▄▅▆▇█';
const labelWidth = 10;

/**
 * The thread contexts over time, a row for each: what it did for the most part of a column's time. Below them, the most
 * calls that slept in the queue at once.
 */
export function threadPicture(run: RunResult, width: number): string[] {
  const columns = width - labelWidth;
  // Those who wait for ever go on waiting a little longer than the run, so that it can be seen.
  const hangs = run.outcome !== 'finished' && run.clients.some(({ unanswered }) => unanswered > 0);
  const end = run.duration * (hangs ? 1.2 : 1) || 1;
  const rows = run.threads.map(
    (changes, thread) => `${`thread ${thread}`.padEnd(labelWidth)}${useRow(changes, columns, end)}`,
  );
  const most = run.asleep.reduce((peak, { calls }) => Math.max(peak, calls), 0);
  const right = hangs ? `${formatTime(run.duration)}, then for ever` : formatTime(run.duration);
  return [
    ...rows,
    ...(most === 0 ? [] : [`${'asleep'.padEnd(labelWidth)}${asleepRow(run, columns, end, most)}`]),
    `${''.padEnd(labelWidth)}0${right.padStart(columns - 1)}`,
    ...(most === 0 ? [] : [`${''.padEnd(labelWidth)}at most ${most} asleep in the queue`]),
  ];
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
    // What lasts no time is not seen.
    if (to === time) return;
    for (let column = columnOf(time); column <= columnOf(to); column++)
      peaks[column] = Math.max(peaks[column] ?? 0, calls);
  });
  return peaks.map((peak) => (peak === 0 ? ' ' : levels.charAt(Math.ceil((peak / most) * levels.length) - 1))).join('');
}
