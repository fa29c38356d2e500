/** The number of features; they are numbered from 0. */
export const featureCount = 1 << 16;

/** The bit of a hit count's bucket. Buckets as in AFL: 1, 2, 3, 4-7, 8-15, 16-31, 32-127, 128 and more. */
const bucketOf = Uint8Array.from({ length: 256 }, (_, count) => {
  if (count === 0) return 0;
  const ends = [1, 2, 3, 7, 15, 31, 127, 255];
  return 1 << ends.findIndex((end) => count <= end);
});

/** The new coverage of an execution. */
export interface Novelty {
  /** Number of features that were hit for the first time. */
  readonly edges: number;
  /** Those, and features with a hit count in a new bucket: `metAs` of each. */
  readonly features: readonly number[];
}

/** A feature and the bucket of its hit count as one number. */
export function metAs(feature: number, count: number): number {
  return feature * 256 + (bucketOf[count] ?? 0);
}

const nothingNew: Novelty = { edges: 0, features: [] };

/** All coverage so far: by feature, the buckets of hit counts that occurred. */
export class FeatureMap {
  private readonly seen = new Uint8Array(featureCount);
  private count = 0;

  /** Number of features that were hit. */
  get edges(): number {
    return this.count;
  }

  /** Add the coverage of an execution. */
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
