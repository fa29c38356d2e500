import { preciseTime } from '../run/precise-time.js';
import type { Axis } from '../run/run.js';
import type { Viewport } from './viewport.js';

export interface Tick {
  readonly position: number;
  readonly label: string;
}

export interface Ruler {
  readonly ticks: readonly Tick[];
  /**
   * The time that the labels are relative to (`6.041 s`), if absolute labels would be too long. Empty: labels are
   * absolute.
   */
  readonly from: string;
}

/** Smallest distance between two ticks, in pixels. */
const apart = 110;
/** If a label has more characters than this, all labels are relative to the first. */
const longestLabel = 10;

/**
 * The ticks of the axis with their labels, which are unique.
 * @param shift the time shown for position 0, in milliseconds.
 */
export function rulerOf(viewport: Viewport, axis: Axis, shift: number, unit: 'time' | 'step'): Ruler {
  const wanted = viewport.step * apart;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const nice = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= wanted) ?? wanted;
  const whole = axis === 'order' || unit === 'step';
  const step = whole ? Math.max(1, Math.round(nice)) : nice;
  const positions: number[] = [];
  // Place ticks where the shown time is round.
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
