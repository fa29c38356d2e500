/** Milliseconds; null when there is nothing to measure. */
export interface Percentiles {
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** Percentiles by nearest rank: each is a time that was measured, none is interpolated. */
export function latenciesOf(times: readonly number[]): Percentiles {
  const sorted = Float64Array.from(times).sort();
  const nearestRank = (percent: number) => {
    const time = sorted[Math.ceil((percent / 100) * sorted.length) - 1];
    // A thousandth of a microsecond is all that the sum of times can be trusted for.
    return time === undefined ? null : Math.round(time * 1e6) / 1e6;
  };
  return { p50: nearestRank(50), p99: nearestRank(99), max: nearestRank(100) };
}
