import type { Random } from '../clock/random.js';

/** A time in milliseconds: fixed if `min` equals `max`; otherwise drawn anew for each use. */
export interface Duration {
  readonly min: number;
  readonly max: number;
  /** Mean of an exponential distribution, truncated at `max`. Undefined: the distribution is uniform. */
  readonly mean?: number;
  /** One use in `oneIn` takes `time` instead. */
  readonly rare?: { readonly oneIn: number; readonly time: Duration };
}

/** The longest time in a scenario, in milliseconds: one day. */
const longestMs = 86_400_000;
/**
 * The shortest non-zero time, in milliseconds: one microsecond, the resolution of drawn times. A shorter time could be
 * rounded to zero, or be lost in the sum with a long time; repeated, it would stop virtual time.
 */
const shortestMs = 0.001;

const millisecondsOf = { us: 0.001, ms: 1, s: 1000, min: 60_000 } as const;

/** The form of a time, for messages. */
export const durationForm = 'a time with its unit (us, ms, s or min), such as 10ms or 1.5s, from 1us to 1440min, or 0';
/** The form of a time that may be drawn, for messages. */
export const durationRangeForm =
  `${durationForm}; or a range, such as 1ms..3ms; or { usually: 1ms..3ms, oneIn: 100, takes: 50ms }; ` +
  'or { mean: 5ms, most: 50ms }, which is exponential';

/** Parse a single time into milliseconds; undefined if the value is not a time. */
export function parseTime(text: unknown): number | undefined {
  if (text === 0) return 0;
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?) ?(us|ms|s|min)$/.exec(text.trim()) : null;
  if (match === null) return undefined;
  const ms = Number(match[1]) * millisecondsOf[match[2] as keyof typeof millisecondsOf];
  return ms === 0 || (ms >= shortestMs && ms <= longestMs) ? ms : undefined;
}

/** Parse a time, or a range of times with the smaller one first; undefined if the value is neither. */
export function parseDuration(text: unknown): Duration | undefined {
  const parts = typeof text === 'string' ? text.split('..') : [text];
  const [min, max] = parts.map(parseTime);
  if (parts.length > 2 || min === undefined) return undefined;
  if (parts.length === 1) return { min, max: min };
  return max !== undefined && min <= max ? { min, max } : undefined;
}

/** Draw a time for one use. Whole microseconds, so that sums stay exact enough to read. */
export function drawTime({ min, max, mean, rare }: Duration, random: Random): number {
  if (rare !== undefined && random() * rare.oneIn < 1) return drawTime(rare.time, random);
  if (mean !== undefined)
    return Math.max(shortestMs, Math.round(Math.min(max, -Math.log(1 - random()) * mean) * 1000) / 1000);
  return min === max ? min : Math.round((min + random() * (max - min)) * 1000) / 1000;
}

/** The smallest and the largest time that can be drawn. */
export function extremes({ min, max, mean, rare }: Duration): { readonly least: number; readonly most: number } {
  const usual = { least: mean === undefined ? min : shortestMs, most: max };
  if (rare === undefined) return usual;
  const { least, most } = extremes(rare.time);
  return { least: Math.min(usual.least, least), most: Math.max(usual.most, most) };
}

/** Format a time: three digits and a suitable unit. */
export function formatTime(ms: number): string {
  if (ms === 0) return '0';
  if (ms < 0.9995) return `${digits(ms * 1000)} us`;
  if (ms < 999.5) return `${digits(ms)} ms`;
  return `${digits(ms / 1000)} s`;
}

function digits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value.toFixed(value >= 9.995 ? 1 : 2).replace(/\.?0+$/, '');
}
