/**
 * A percentile by nearest rank: a measured value, without interpolation. All reports use this one.
 *
 * @param sorted ascending.
 * @returns undefined if there are no values.
 */
export function nearestRank(sorted: Float64Array, percent: number): number | undefined {
  return sorted[Math.ceil((percent / 100) * sorted.length) - 1];
}
