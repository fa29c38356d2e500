/** The index of the first value that is not less than `value`, in an ascending list. */
export function lowerBound(values: readonly number[], value: number): number {
  return lowerBoundBy(values, (each) => each, value);
}

/** The same, for elements that ascend by a key. */
export function lowerBoundBy<T>(values: readonly T[], key: (value: T) => number, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const each = values[middle];
    if (each !== undefined && key(each) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
