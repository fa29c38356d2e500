import { preciseTime } from '../run/precise-time.js';
import type { Axis } from '../run/run.js';
import type { Viewport } from './viewport.js';

export interface Tick {
  readonly position: number;
  readonly label: string;
}

export interface Ruler {
  readonly ticks: readonly Tick[];
  /** What the labels count from, where they would be too long: `6.041 s`; empty: from zero. */
  readonly from: string;
}

/** Pixels between two ticks, at least. */
const apart = 110;
/** Labels with more characters than this are told from the first of them. */
const longestLabel = 10;

/**
 * Where the axis has its ticks, and what they say: no two of them the same.
 * @param shift what position 0 is called, in milliseconds.
 */
export function rulerOf(viewport: Viewport, axis: Axis, shift: number, unit: 'time' | 'step'): Ruler {
  const wanted = viewport.step * apart;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const nice = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= wanted) ?? wanted;
  const whole = axis === 'order' || unit === 'step';
  const step = whole ? Math.max(1, Math.round(nice)) : nice;
  const positions: number[] = [];
  // Ticks lie at round times of what the labels say.
  const first = Math.ceil((viewport.start + shift) / step - 1e-9);
  for (let index = first; index * step - shift <= viewport.end; index++) positions.push(index * step - shift);
  if (whole)
    return { ticks: positions.map((position) => ({ position, label: String(Math.round(position) + 1) })), from: '' };
  const label = (position: number) => preciseTime(Number((position + shift).toPrecision(14)), step);
  const labels = positions.map(label);
  const [base] = positions;
  if (base === undefined || labels.every((each) => each.length <= longestLabel))
    return { ticks: positions.map((position, index) => ({ position, label: labels[index] ?? '' })), from: '' };
  const ticks = positions.map((position) => ({
    position,
    label: position === base ? '+0' : `+${preciseTime(Number((position - base).toPrecision(9)), step)}`,
  }));
  return { ticks, from: labels[0] ?? '' };
}
