/** Numbers of features are below this. */
export const featureCount = 1 << 16;

/** Counts are told apart as AFL does: 1, 2, 3, 4-7, 8-15, 16-31, 32-127, 128 and more; a bit each. */
const bucketOf = Uint8Array.from({ length: 256 }, (_, count) => {
  if (count === 0) return 0;
  const ends = [1, 2, 3, 7, 15, 31, 127, 255];
  return 1 << ends.findIndex((end) => count <= end);
});

/** What was new in an execution. */
export interface Novelty {
  /** Features that were never met. */
  readonly edges: number;
  /** Those, and features that were met more or less often than ever: `metAs` of each. */
  readonly features: readonly number[];
}

/** A feature and how often it was met, as one number: the same for counts that are not told apart. */
export function metAs(feature: number, count: number): number {
  return feature * 256 + (bucketOf[count] ?? 0);
}

const nothingNew: Novelty = { edges: 0, features: [] };

/** Which features were ever met, and how often at once. */
export class FeatureMap {
  private readonly seen = new Uint8Array(featureCount);
  private count = 0;

  /** Features that were met. */
  get edges(): number {
    return this.count;
  }

  /** Take what an execution covered. */
  add(drain: (each: (feature: number, count: number) => void) => void): Novelty {
    let edges = 0;
    let features: number[] | undefined;
    drain((feature, count) => {
      const bucket = bucketOf[count] ?? 0;
      const before = this.seen[feature] ?? 0;
      if ((before & bucket) !== 0 || bucket === 0) return;
      if (before === 0) edges++;
      this.seen[feature] = before | bucket;
      features ??= [];
      features.push(metAs(feature, count));
    });
    this.count += edges;
    return features === undefined ? nothingNew : { edges, features };
  }
}
