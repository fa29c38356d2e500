import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { targetNames } from '../fuzz/open-target.js';

/** Of one plan. */
const mostJobs = 100_000;

const seeds = z
  .union([z.string().regex(/^\d+(\.\.\d+)?$/), z.number().int().min(0)], {
    error: 'wanted is an integer such as 7, or two as 1..20',
  })
  .transform((text) => {
    const [first = 0, last = first] = String(text).split('..').map(Number);
    return { first, last };
  })
  .refine(
    ({ first, last }) => last >= first && last - first < mostJobs && last <= 0xffff_ffff,
    'the second is not below the first',
  );

const fuzzShape = z.strictObject({
  kind: z.literal('fuzz'),
  target: z.enum(Object.keys(targetNames) as [keyof typeof targetNames, ...(keyof typeof targetNames)[]]),
  uuid: z.string().optional(),
  optee: z.string().optional(),
  seeds: seeds.default({ first: 1, last: 1 }),
  executions: z.number().int().min(1),
});

const shape = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'small letters, digits and hyphens'),
  jobs: z.array(fuzzShape).min(1),
});

/** What one worker does at a time: data alone, of a kind that every worker knows. */
export const jobShape = z.strictObject({
  kind: z.literal('fuzz'),
  target: fuzzShape.shape.target,
  uuid: z.string().optional(),
  optee: z.string().optional(),
  seed: z.number().int().min(0).max(0xffff_ffff),
  executions: z.number().int().min(1),
});
export type CampaignJob = z.infer<typeof jobShape>;

export interface CampaignPlan {
  readonly name: string;
  readonly jobs: readonly CampaignJob[];
}

/** @throws RangeError naming file and place; the system's error when it cannot be read. */
export async function readPlan(path: string): Promise<CampaignPlan> {
  let value: unknown;
  try {
    value = parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw error;
    throw new RangeError(`${path}: ${(error as Error).message}`);
  }
  const parsed = shape.safeParse(value);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(({ path: place, message }) => `${place.join('.') || 'the file'}: ${message}`);
    throw new RangeError(`${path}: ${wrong.join('; ')}`);
  }
  const jobs = parsed.data.jobs.flatMap(({ seeds: { first, last }, ...job }) =>
    Array.from({ length: last - first + 1 }, (_, index): CampaignJob => ({ ...job, seed: first + index })),
  );
  if (jobs.length > mostJobs) throw new RangeError(`${path}: ${jobs.length} jobs, at most ${mostJobs}`);
  return { name: parsed.data.name, jobs };
}

/** The same job has the same number: put in twice it is there once. */
export function jobId(job: CampaignJob): string {
  return `job-${createHash('sha256').update(JSON.stringify(job)).digest('hex').slice(0, 20)}`;
}

/** Jobs that share a corpus: those of one target, application and image. */
export function corpusOf({ target, uuid = '', optee = '' }: CampaignJob): string {
  return [target, uuid, optee].join('/');
}
