import { z } from 'zod';

const breach = z.object({
  /** The violated property, and the queue. */
  property: z.string(),
  queue: z.string(),
  /** The command that reproduces it, or what was observed. */
  how: z.string(),
});

/** The result of a job. */
export const resultShape = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('fuzz'),
    executions: z.number(),
    seconds: z.number(),
    edges: z.number(),
    corpus: z.number(),
    deaths: z.number(),
    /** The complete files of findings. */
    findings: z.array(z.string()),
  }),
  z.object({
    kind: z.literal('explore'),
    runs: z.number(),
    seconds: z.number(),
    breaches: z.array(breach),
  }),
  z.object({
    kind: z.literal('table'),
    queue: z.string(),
    group: z.string(),
    states: z.number(),
    seconds: z.number(),
    /** The limit that ended the search before all states were explored. */
    bound: z.string().nullable(),
    /** Violated properties. */
    broken: z.array(z.string()),
  }),
  z.object({
    kind: z.literal('suite'),
    optee: z.string(),
    qemu: z.string(),
    seconds: z.number(),
    passed: z.number(),
    skipped: z.number(),
    /** Names of failed tests, with the first line of each message. */
    failures: z.array(z.string()),
  }),
]);
export type JobResult = z.infer<typeof resultShape>;
export type ResultOf<Kind extends JobResult['kind']> = Extract<JobResult, { readonly kind: Kind }>;

/** The results of a campaign. */
export interface CampaignSum {
  readonly jobs: number;
  /** CPU time of all workers, as far as jobs report it, in seconds. */
  readonly seconds: number;
  readonly executions: number;
  /** The largest number of edges of a job. */
  readonly edges: number;
  readonly deaths: number;
  /** Number of scenario runs. */
  readonly runs: number;
  /** Number of queue states. */
  readonly states: number;
  readonly testsPassed: number;
  /** Counterexamples, without duplicates. */
  readonly breaches: readonly z.infer<typeof breach>[];
  /**
   * By property and queue, for each group: number of configurations in which the property is violated, and number of
   * all.
   */
  readonly table: readonly TableRow[];
  readonly testFailures: readonly string[];
}

export interface TableRow {
  readonly property: string;
  readonly queue: string;
  readonly group: string;
  readonly broken: number;
}

export function ofKind<Kind extends JobResult['kind']>(results: readonly JobResult[], kind: Kind): ResultOf<Kind>[] {
  return results.filter((result): result is ResultOf<Kind> => result.kind === kind);
}

export function sumOf(results: readonly JobResult[]): CampaignSum {
  const fuzz = ofKind(results, 'fuzz');
  const suites = ofKind(results, 'suite');
  const breaches = new Map(
    ofKind(results, 'explore').flatMap((result) =>
      result.breaches.map((each) => [`${each.property} ${each.queue}`, each] as const),
    ),
  );
  return {
    jobs: results.length,
    seconds: total(results, ({ seconds }) => seconds),
    executions: total(fuzz, ({ executions }) => executions),
    edges: Math.max(0, ...fuzz.map(({ edges }) => edges)),
    deaths: total(fuzz, ({ deaths }) => deaths),
    runs: total(ofKind(results, 'explore'), ({ runs }) => runs),
    states: total(ofKind(results, 'table'), ({ states }) => states),
    testsPassed: total(suites, ({ passed }) => passed),
    breaches: [...breaches.values()],
    table: tableOf(ofKind(results, 'table')),
    testFailures: suites.flatMap(({ optee, qemu, failures }) =>
      failures.map((failure) => [optee, qemu, failure].filter((each) => each !== '').join(': ')),
    ),
  };
}

function tableOf(results: readonly ResultOf<'table'>[]): readonly TableRow[] {
  const rows = new Map<string, TableRow>();
  for (const { queue, group, broken } of results)
    for (const property of broken) {
      const key = [property, queue, group].join(' ');
      rows.set(key, { property, queue, group, broken: (rows.get(key)?.broken ?? 0) + 1 });
    }
  return [...rows].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row);
}

function total<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}
