type Numbers = Float64Array | Uint32Array | Int32Array | Uint8Array;

/**
 * A growing column of numbers, in a typed array. The type has no type parameter, because TypeScript before 5.7 cannot
 * read the declarations that are generated for an inferred one.
 */
export class Column {
  length = 0;

  constructor(private array: Numbers) {}

  push(value: number): number {
    if (this.length === this.array.length) {
      const larger = new (this.array.constructor as new (length: number) => Numbers)(this.array.length * 2);
      larger.set(this.array);
      this.array = larger;
    }
    this.array[this.length] = value;
    return this.length++;
  }

  /** @returns NaN beyond the end. */
  at(index: number): number {
    return this.array[index] ?? Number.NaN;
  }

  set(index: number, value: number): void {
    this.array[index] = value;
  }

  /** The first index whose value is not less than `value`, in an ascending column. */
  lowerBound(value: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Initial length. */
const firstLength = 1024;
export const float64Column = () => new Column(new Float64Array(firstLength));
export const uint32Column = () => new Column(new Uint32Array(firstLength));
export const int32Column = () => new Column(new Int32Array(firstLength));
export const uint8Column = () => new Column(new Uint8Array(firstLength));
