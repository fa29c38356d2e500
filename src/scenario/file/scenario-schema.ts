import { z } from 'zod';
import { DISCIPLINES } from '../../optee/call-queue/disciplines.js';
import { SHIPPED_APPLICATIONS } from '../scenario.js';
import { OUTCOMES } from '../scenario-result.js';
import {
  drawnTime,
  fields,
  flag,
  named,
  oneOf,
  period,
  reference,
  saysMissing,
  text,
  time,
  wholeNumber,
} from './schema-parts.js';
import { applicationSteps, bottomHalfSteps, clientSteps, service, serviceNames, serviceSteps } from './step-schemas.js';

/** The shape of a scenario file. References within the file are checked later. */

/** Limits on sessions, callers and repetitions, so that every run is finite. */
const mostClients = 1000;
const mostRepeats = 1_000_000;
const mostThreads = 64;
/** The default of CFG_NUM_THREADS in OP-TEE. */
export const defaultThreads = 2;
/** Bytes: a quarter of the normal world's memory in the simulation. */
const mostSharedMemory = 16 * 1024 * 1024;

const queueNames = Object.keys(DISCIPLINES) as [keyof typeof DISCIPLINES, ...(keyof typeof DISCIPLINES)[]];

/** At most scmiNameSize octets, including the terminating zero. */
const scmiNameForm = 'a name: lower-case letters, digits and hyphens, beginning with a letter, at most 15';
const scmiNames = z.array(
  z.string({ error: saysMissing(scmiNameForm) }).regex(/^[a-z][a-z0-9-]{0,14}$/, { error: `expected ${scmiNameForm}` }),
  { error: saysMissing('a list of names') },
);

const application = fields('an application', {
  use: oneOf(SHIPPED_APPLICATIONS).optional(),
  compute: time.optional(),
  clocks: scmiNames.optional(),
  regulators: scmiNames.optional(),
  resets: scmiNames.optional(),
  kind: oneOf(['user', 'pseudo']).optional(),
  concurrent: flag.optional(),
  singleInstance: flag.optional(),
  multiSession: flag.optional(),
  device: oneOf(['always', 'with-supplicant']).optional(),
  cancellable: flag.optional(),
  commands: named('a mapping from the names of commands to their steps', applicationSteps).optional(),
});

const normalWorldService = fields('a service', { exclusive: flag.optional(), steps: serviceSteps });

const emmc = fields('the eMMC', {
  rpmb: oneOf(['kernel', 'supplicant']),
  access: time.optional(),
  needs: scmiNames.optional(),
  agent: reference.optional(),
  claim: reference.optional(),
  switching: reference.optional(),
});

const repeatsError = saysMissing(`a whole number from 1 to ${mostRepeats}, or forever`);
const repeats = z.int().min(1, { error: repeatsError }).max(mostRepeats, { error: repeatsError });

const outcomes = z.union([oneOf(OUTCOMES), z.array(oneOf(OUTCOMES)).min(1)], {
  error: saysMissing(`one of ${OUTCOMES.join(', ')}, or a list of them`),
});
/** Outcomes for every discipline, or by discipline. */
const expectation = z.union(
  [
    outcomes,
    fields(
      'an expectation',
      Object.fromEntries(queueNames.map((name) => [name, outcomes.optional()])) as Record<
        (typeof queueNames)[number],
        z.ZodOptional<typeof outcomes>
      >,
    ),
  ],
  {
    error: saysMissing(
      `one of ${OUTCOMES.join(', ')}, a list of them, or one for each discipline: { linux-6.7: deadlock, hand-off: finished }`,
    ),
  },
);

const client = fields('a client', {
  kernel: flag.optional(),
  system: flag.optional(),
  application: reference.optional(),
  applications: z
    .array(reference, { error: saysMissing('a list of names of applications') })
    .min(1)
    .optional(),
  priority: wholeNumber(0, 99).optional(),
  stagger: time.optional(),
  timeout: period.optional(),
  session: oneOf(['kept', 'each-round']).optional(),
  sharedMemory: wholeNumber(1, mostSharedMemory).optional(),
  threadOf: reference.optional(),
  passive: flag.optional(),
  transport: oneOf(['msg', 'smt']).optional(),
  count: wholeNumber(1, mostClients).optional(),
  callers: wholeNumber(1, mostClients).optional(),
  repeat: z.union([z.literal('forever'), repeats], { error: repeatsError }).optional(),
  every: drawnTime.refine(({ min }) => min > 0, { error: 'expected a time longer than zero' }).optional(),
  start: drawnTime.optional(),
  deadline: period.optional(),
  steps: clientSteps.optional(),
});

/** `{}` means: of the normal world, not reentrant. */
const lock = fields('a lock', { world: oneOf(['normal', 'secure']).optional(), reentrant: flag.optional() });

/** A period without a supplicant. */
const absence = z
  .strictObject({ leaves: time, returns: time.optional() })
  .refine(({ leaves, returns = Number.POSITIVE_INFINITY }) => returns > leaves, {
    error: 'it must return after it left',
  });

const nth = wholeNumber(1, mostRepeats);

export const scenarioSchema = fields('a scenario', {
  title: text,
  about: text.optional(),
  queues: z
    .array(oneOf(queueNames), { error: saysMissing('a list of queues') })
    .min(1, { error: 'expected at least one queue' })
    .optional(),
  expect: expectation.optional(),
  limit: period.optional(),
  preemption: drawnTime.optional(),
  cpus: wholeNumber(1, mostThreads).optional(),
  reserve: flag.optional(),
  locks: named('a mapping from names to locks, such as { clk-prepare: {} }', lock).optional(),
  supplicant: fields('the supplicant', {
    threads: wholeNumber(1, mostClients).optional(),
    loadTa: drawnTime.optional(),
    allocate: drawnTime.optional(),
  }).optional(),
  secureWorld: fields('the secure world', {
    threads: wholeNumber(1, mostThreads).optional(),
    announced: wholeNumber(0, mostThreads).optional(),
    abi: oneOf(['smc', 'ffa']).optional(),
    reservedShm: flag.optional(),
    bottomHalf: bottomHalfSteps.optional(),
  }).optional(),
  applications: named('a mapping from names to applications', application),
  services: z
    .partialRecord(service, normalWorldService, {
      error: saysMissing(`a mapping from ${serviceNames.join(', ')} to services`),
    })
    .optional(),
  emmc: emmc.optional(),
  clients: named('a mapping from names to clients', client),
  faults: fields('the faults', {
    unanswered: z
      .array(fields('an RPC that is not answered', { rpc: service, nth }), { error: saysMissing('a list of RPCs') })
      .optional(),
    panics: z
      .array(fields('a panic', { application: reference, command: reference, nth }), {
        error: saysMissing('a list of panics'),
      })
      .optional(),
    supplicant: z
      .union([z.enum(['present', 'absent']), absence, z.array(absence).min(1)], {
        error: saysMissing(
          'one of present, absent, or { leaves: 5ms, returns: 20ms }: the second time is later or omitted; or a list of those',
        ),
      })
      .optional(),
    suspend: z
      .array(
        fields('a suspend', { at: time, resumes: time.optional() }).refine(
          ({ at, resumes = Number.POSITIVE_INFINITY }) => resumes > at,
          { error: 'it must resume after it suspended' },
        ),
        { error: saysMissing('a list of times, such as [{ at: 10ms, resumes: 50ms }]') },
      )
      .optional(),
    late: z
      .array(fields('a late answer', { rpc: service, nth, by: period }), { error: saysMissing('a list of answers') })
      .optional(),
    duplicated: z
      .array(fields('an answer that is given twice', { rpc: service, nth }), {
        error: saysMissing('a list of answers'),
      })
      .optional(),
    corrupted: z
      .array(fields('a corrupted answer', { rpc: service, nth }), { error: saysMissing('a list of answers') })
      .optional(),
    deaths: z
      .array(fields('a death', { client: reference, number: wholeNumber(1, mostClients).optional(), at: time }), {
        error: saysMissing('a list of deaths'),
      })
      .optional(),
    lostThreads: z.array(time, { error: saysMissing('a list of times') }).optional(),
    interrupts: period.optional(),
  }).optional(),
});

/** A parsed scenario file: times in milliseconds, defaults not filled in. */
export type ScenarioFile = z.output<typeof scenarioSchema>;
