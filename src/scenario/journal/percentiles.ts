import { nearestRank } from '../../trace/timeline/nearest-rank.js';

/** Milliseconds; null if there were no measurements. */
export interface Percentiles {
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** Percentiles by nearest rank: each is a measured time, without interpolation. */
export function latenciesOf(times: readonly number[]): Percentiles {
  const sorted = Float64Array.from(times).sort();
  const at = (percent: number) => {
    const time = nearestRank(sorted, percent);
    // Rounded to nanoseconds, the precision of a sum of times.
    return time === undefined ? null : Math.round(time * 1e6) / 1e6;
  };
  return { p50: at(50), p99: at(99), max: at(100) };
}
