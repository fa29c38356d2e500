import type { Random } from '../clock/random.js';

/** A time in milliseconds: a fixed one when `min` equals `max`, else one that is drawn anew at each use. */
export interface Duration {
  readonly min: number;
  readonly max: number;
}

/** The longest time that a scenario may name, in milliseconds: a day. */
const longestMs = 86_400_000;
/**
 * The shortest but none, in milliseconds: a microsecond, which is what times are drawn in. A shorter one could be drawn as
 * none, or vanish beside the time of a long run; repeated, it would let time stand still.
 */
const shortestMs = 0.001;

const millisecondsOf = { us: 0.001, ms: 1, s: 1000, min: 60_000 } as const;

/** What is allowed where a scenario wants a time. */
export const durationForm = 'a time with its unit: us, ms, s or min, as in 10ms or 1.5s, from 1us to 1440min, or 0';
/** What is allowed where a scenario wants a time that may be drawn. */
export const durationRangeForm = `${durationForm}; or a range to draw from, as in 1ms..3ms`;

/** A single time in milliseconds; nothing when the text is none. */
export function parseTime(text: unknown): number | undefined {
  if (text === 0) return 0;
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?) ?(us|ms|s|min)$/.exec(text.trim()) : null;
  if (match === null) return undefined;
  const ms = Number(match[1]) * millisecondsOf[match[2] as keyof typeof millisecondsOf];
  return ms === 0 || (ms >= shortestMs && ms <= longestMs) ? ms : undefined;
}

/** A time, or a range of them with the smaller first; nothing when the text is neither. */
export function parseDuration(text: unknown): Duration | undefined {
  const parts = typeof text === 'string' ? text.split('..') : [text];
  const [min, max] = parts.map(parseTime);
  if (parts.length > 2 || min === undefined) return undefined;
  if (parts.length === 1) return { min, max: min };
  return max !== undefined && min <= max ? { min, max } : undefined;
}

/** A time for one use. Whole microseconds, so that sums stay exact enough to read. */
export function drawTime({ min, max }: Duration, random: Random): number {
  return min === max ? min : Math.round((min + random() * (max - min)) * 1000) / 1000;
}

/** A time for people: three digits and the unit that fits. */
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
