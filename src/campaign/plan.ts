import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { FAULT_KINDS, type FaultKind } from '../explore/driver/fault-choices.js';
import { configurations } from '../explore/queue/model/configurations.js';
import { readText } from '../files/read-text.js';
import { readWhole } from '../files/read-whole.js';
import { targetNames } from '../fuzz/open-target.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { DISCIPLINES } from '../optee/call-queue/disciplines.js';
import { parseScenario } from '../scenario/file/scenario-file.js';
import { show } from '../show.js';

/** Largest plan file, in octets. */
const longestPlan = 2 ** 20;
/** Largest number of mistakes that are reported one by one. */
const mostTold = 30;
/** Largest number of jobs of a plan. */
const mostJobs = 100_000;
/** Largest scenario text, in characters; it is sent to workers. */
const mostScenarioCharacters = 100_000;

const oneOf = <Name extends string>(names: Readonly<Record<Name, unknown>>) =>
  z.enum(Object.keys(names) as [Name, ...Name[]]);
const queueName = oneOf<DisciplineName>(DISCIPLINES);
const faultName = oneOf<FaultKind>(FAULT_KINDS);
const group = z.enum(['tracked', 'untracked', 'short', 'cycle', 'own']);
const seed = z.number().int().min(0).max(0xffff_ffff);
const count = z.number().int().min(1);

const seeds = z
  .union([z.string().regex(/^\d+(\.\.\d+)?$/), z.number().int().min(0)], {
    error: 'expected an integer such as 7, or a range such as 1..20',
  })
  .transform((text) => {
    const [first = 0, last = first] = String(text).split('..').map(Number);
    return { first, last };
  })
  .refine(
    ({ first, last }) => last >= first && last - first < mostJobs && last <= 0xffff_ffff,
    'the second must not be below the first',
  )
  .default({ first: 1, last: 1 });

const fuzz = { kind: z.literal('fuzz'), target: oneOf(targetNames), executions: count };
const ofImage = { uuid: z.string().optional(), optee: z.string().optional() };
const explore = {
  kind: z.literal('explore'),
  strategy: z.enum(['deviations', 'random', 'priorities']).default('random'),
  runs: count,
  faults: z.array(faultName).default([]),
  maxFaults: count.default(1),
};
const table = { kind: z.literal('table'), maxStates: count.default(20_000_000) };
const suite = { kind: z.literal('suite') };

const shape = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'lower-case letters, digits and hyphens'),
  jobs: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({ ...fuzz, ...ofImage, seeds }),
        z.strictObject({ ...explore, scenario: z.string(), queues: z.array(queueName).min(1).optional(), seeds }),
        z.strictObject({
          ...table,
          queues: z.array(queueName).min(1).optional(),
          groups: z.array(group).min(1).optional(),
        }),
        z.strictObject({
          ...suite,
          optee: z.array(z.string()).min(1).default(['']),
          qemu: z.array(z.string()).min(1).default(['']),
        }),
      ]),
    )
    .min(1),
});

const configuration = z.strictObject({
  group,
  threads: z.number().int(),
  secureThreads: z.number().int(),
  reservations: z.number().int(),
  callers: z.string(),
  reserve: z.boolean().optional(),
});

/** A unit of work for a worker. It contains only data, and its kind is known to all workers. */
export const jobShape = z.discriminatedUnion('kind', [
  z.strictObject({ ...fuzz, ...ofImage, seed }),
  z.strictObject({
    ...explore,
    /** The scenario's text and its name in the plan: workers do not have the plan's files. */
    scenario: z.strictObject({ name: z.string(), text: z.string().max(mostScenarioCharacters) }),
    queue: queueName,
    seed,
  }),
  z.strictObject({ ...table, queue: queueName, configuration }),
  /** `qemu` is a version; the worker selects the program. */
  z.strictObject({ ...suite, optee: z.string(), qemu: z.string() }),
]);
export type CampaignJob = z.infer<typeof jobShape>;
export type JobOf<Kind extends CampaignJob['kind']> = Extract<CampaignJob, { readonly kind: Kind }>;
type PlannedJobs = z.infer<typeof shape>['jobs'][number];

export interface CampaignPlan {
  readonly name: string;
  readonly jobs: readonly CampaignJob[];
}

/** @throws RangeError naming file and place; also if the plan, or a scenario in it, cannot be read. */
export async function readPlan(path: string): Promise<CampaignPlan> {
  let value: unknown;
  try {
    value = parse((await readWhole(path, longestPlan)).toString('utf8'));
  } catch (error) {
    throw unusable(path, error);
  }
  const parsed = shape.safeParse(value);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(({ path: place, message }) => `${place.join('.') || 'the file'}: ${message}`);
    const more = wrong.length > mostTold ? [`${wrong.length - mostTold} further mistakes`] : [];
    throw new RangeError(`${path}: ${[...wrong.slice(0, mostTold), ...more].join('; ')}`);
  }
  const jobs: CampaignJob[] = [];
  for (const planned of parsed.data.jobs) {
    for (const job of await jobsOf(planned, path)) jobs.push(job);
    // Check before more jobs are created than memory can hold.
    if (jobs.length > mostJobs) throw new RangeError(`${path}: ${jobs.length} jobs or more, at most ${mostJobs}`);
  }
  return { name: parsed.data.name, jobs };
}

/** The error of a file that cannot be used, with its path in front if it is not there. */
function unusable(path: string, error: unknown): RangeError {
  const text = show(error);
  return new RangeError(text.startsWith(path) ? text : `${path}: ${text}`, { cause: error });
}

async function jobsOf(planned: PlannedJobs, path: string): Promise<readonly CampaignJob[]> {
  switch (planned.kind) {
    case 'fuzz': {
      const { seeds: range, ...job } = planned;
      return each(range, (seed) => ({ ...job, seed }));
    }
    case 'explore': {
      const { seeds: range, scenario: name, queues, ...job } = planned;
      const text = await readText(resolve(dirname(path), name)).catch((error: unknown) => {
        throw unusable(`${path}: scenario ${name}`, error);
      });
      const scenario = { name, text };
      const { queues: own } = scenarioOf(scenario, path);
      return (queues ?? own).flatMap((queue) => each(range, (seed) => ({ ...job, scenario, queue, seed })));
    }
    case 'table': {
      const { queues = Object.keys(DISCIPLINES) as DisciplineName[], groups, ...job } = planned;
      const wanted = configurations().filter((one) => groups?.includes(one.group) ?? true);
      return queues.flatMap((queue) => wanted.map((one) => ({ ...job, queue, configuration: one })));
    }
    case 'suite':
      return planned.optee.flatMap((optee) => planned.qemu.map((qemu) => ({ kind: 'suite' as const, optee, qemu })));
    default:
      return planned satisfies never;
  }
}

/** @throws RangeError if the scenario is invalid. */
function scenarioOf({ name, text }: JobOf<'explore'>['scenario'], path: string) {
  try {
    return parseScenario(text, name);
  } catch (error) {
    throw new RangeError(`${path}: ${(error as Error).message}`);
  }
}

function each<Job>(
  { first, last }: { readonly first: number; readonly last: number },
  job: (seed: number) => Job,
): Job[] {
  return Array.from({ length: last - first + 1 }, (_, index) => job(first + index));
}

/** The id of a job, derived from its content: adding the same job twice adds it once. */
export function jobId(job: CampaignJob): string {
  return `job-${createHash('sha256').update(JSON.stringify(job)).digest('hex').slice(0, 20)}`;
}

/** Jobs with the same target, application and image share a corpus. */
export function corpusOf({ target, uuid = '', optee = '' }: JobOf<'fuzz'>): string {
  return [target, uuid, optee].join('/');
}
