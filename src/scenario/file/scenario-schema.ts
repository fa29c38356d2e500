import { z } from 'zod';
import { DISCIPLINES } from '../../optee/call-queue/disciplines.js';
import { asyncNotifMax } from '../../worlds/simulated/index.js';
import { type Duration, durationForm, durationRangeForm, parseDuration, parseTime } from '../duration.js';
import { SERVICES, SHIPPED_APPLICATIONS } from '../scenario.js';
import { OUTCOMES } from '../scenario-result.js';

/** The shape of a scenario file. What refers to something elsewhere in the file is checked after it. */

/** Sessions, callers and repetitions are bounded so that no file can ask for a run without end. */
const mostClients = 1000;
/** Applications, clients, commands of one application. */
const mostNames = 1000;
const mostRepeats = 1_000_000;
const mostThreads = 64;
/** CFG_NUM_THREADS where OP-TEE's platforms do not say otherwise. */
export const defaultThreads = 2;
/** Bytes: a quarter of the memory that the normal world has here. */
const mostSharedMemory = 16 * 1024 * 1024;

const saysMissing = (allowed: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined ? `is missing; it takes ${allowed}` : `it takes ${allowed}`;

/** Fields whose names begin with `x-` are for whoever writes the file: anchors, notes, what other programs read. */
function withoutExtensions(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !name.startsWith('x-')));
}

/** A mapping with these fields and no others. */
function fields<Shape extends z.core.$ZodLooseShape>(what: string, shape: Shape) {
  const names = Object.keys(shape).join(', ');
  const mapping = z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `no such field; ${what} has ${names}`
        : saysMissing(`${what}: a mapping with ${names}`)(issue),
  });
  return z.preprocess(withoutExtensions, mapping);
}

const namePattern = /^[a-z][a-z0-9-]{0,31}$/;
const nameForm = 'a name: lower-case letters, digits and hyphens, a letter first, at most 32';
const reference = z.string({ error: saysMissing(nameForm) }).regex(namePattern, { error: `it takes ${nameForm}` });

/** A mapping from names to values. */
const named = <Value extends z.ZodType>(what: string, value: Value) =>
  z
    .unknown()
    // Ahead of a check of each: a file of nothing but names must not take long either.
    .refine((names) => typeof names !== 'object' || names === null || Object.keys(names).length <= mostNames, {
      error: `it takes at most ${mostNames} names`,
      abort: true,
    })
    .pipe(
      z.record(z.string().regex(namePattern), value, {
        error: (issue) =>
          issue.code === 'invalid_key' ? `this name is not possible; it takes ${nameForm}` : saysMissing(what)(issue),
      }),
    )
    // No name is there that the file does not have.
    .transform((record): typeof record => Object.assign(Object.create(null), record));

// Titles go to a terminal, into reports and pages. Line feeds and tabs stay.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const text = z
  .string({ error: saysMissing('a text') })
  .refine((value) => !controls.test(value), { error: 'it takes a text without control characters' });
const flag = z.boolean({ error: saysMissing('true or false') });

function wholeNumber(min: number, max: number) {
  const error = saysMissing(`a whole number from ${min} to ${max}`);
  return z.int({ error }).min(min, { error }).max(max, { error });
}

const time = z.unknown().transform((value, context): number => {
  const parsed = parseTime(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: `it takes ${durationForm}` });
  return z.NEVER;
});

/** Why a range is none, where that can be told. */
function rangeForm(value: unknown): string {
  const [first, second, ...more] = typeof value === 'string' ? value.split('..').map(parseTime) : [];
  return first !== undefined && second !== undefined && more.length === 0 && first > second
    ? `the range is reversed; it takes ${durationRangeForm}`
    : `it takes ${durationRangeForm}`;
}

const drawnTime = z.unknown().transform((value, context): Duration => {
  const parsed = parseDuration(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: rangeForm(value) });
  return z.NEVER;
});

/** A time that something is repeated after: zero would never let it pass. */
const period = time.refine((ms) => ms > 0, { error: 'it takes a time longer than zero' });

function oneOf<const Names extends readonly [string, ...string[]]>(names: Names) {
  return z.enum(names, { error: saysMissing(`one of ${names.join(', ')}`) });
}

const isTrue = z.literal(true, { error: saysMissing('true') });

/** A step is a mapping with exactly one field, which names it. */
function step<Shape extends z.core.$ZodLooseShape>(what: string, shape: Shape) {
  const optional = Object.fromEntries(Object.entries(shape).map(([name, type]) => [name, z.optional(type)])) as {
    [Name in keyof Shape]: z.ZodOptional<Shape[Name]>;
  };
  return fields(what, optional).refine((value) => Object.keys(value).length === 1, {
    error: `${what} has exactly one of ${Object.keys(shape).join(', ')}`,
  });
}

const serviceNames = Object.keys(SERVICES) as [keyof typeof SERVICES, ...(keyof typeof SERVICES)[]];
const service = oneOf(serviceNames);
const queueNames = Object.keys(DISCIPLINES) as [keyof typeof DISCIPLINES, ...(keyof typeof DISCIPLINES)[]];

/** Values above are those that threads of secure world sleep by. */
const notification = wholeNumber(1, asyncNotifMax);
const awaited = fields('an await', { notification, timeout: period.optional() });

const applicationSteps = z.array(
  step('a step of a command', {
    compute: drawnTime,
    wait: drawnTime,
    rpc: service,
    await: z.union([notification, awaited], {
      error: saysMissing(`a whole number from 1 to ${asyncNotifMax}, or { notification, timeout }`),
    }),
    notify: notification,
  }),
  { error: saysMissing('a list of steps, such as [{ compute: 1ms }, { rpc: rpmb }]') },
);

const bottomHalfSteps = z.array(step('a step of a bottom half', { compute: drawnTime, notify: notification }), {
  error: saysMissing('a list of steps, such as [{ compute: 1ms }, { notify: 7 }]'),
});

/** scmiNameSize octets, with the zero that ends it. */
const scmiNameForm = 'a name: lower-case letters, digits and hyphens, a letter first, at most 15';
const scmiNames = z.array(
  z.string({ error: saysMissing(scmiNameForm) }).regex(/^[a-z][a-z0-9-]{0,14}$/, { error: `it takes ${scmiNameForm}` }),
  { error: saysMissing('a list of names') },
);

const application = fields('an application', {
  use: oneOf(SHIPPED_APPLICATIONS).optional(),
  compute: time.optional(),
  clocks: scmiNames.optional(),
  regulators: scmiNames.optional(),
  kind: oneOf(['user', 'pseudo']).optional(),
  concurrent: flag.optional(),
  singleInstance: flag.optional(),
  multiSession: flag.optional(),
  device: oneOf(['always', 'with-supplicant']).optional(),
  commands: named('a mapping from the names of commands to their steps', applicationSteps).optional(),
});

const serviceSteps = z.array(
  step('a step of a service', {
    wait: drawnTime,
    invoke: fields('an invoke of a service', { client: reference, command: reference }),
    never: isTrue,
  }),
  { error: saysMissing('a list of steps, such as [{ wait: 1ms }]') },
);

const normalWorldService = fields('a service', { exclusive: flag.optional(), steps: serviceSteps });

const emmc = fields('the eMMC', {
  rpmb: oneOf(['kernel', 'supplicant']),
  access: time.optional(),
  needs: scmiNames.optional(),
  agent: reference.optional(),
});

const repeatsError = saysMissing(`a whole number from 1 to ${mostRepeats}, or forever`);
const repeats = z.int().min(1, { error: repeatsError }).max(mostRepeats, { error: repeatsError });

/** What a client that stands for a device of secure world notifies. */
const interruptNotification = z.union([z.literal('bottom-half'), notification], {
  error: saysMissing(`bottom-half, or a whole number from 1 to ${asyncNotifMax}`),
});

const outcomes = z.union([oneOf(OUTCOMES), z.array(oneOf(OUTCOMES)).min(1)], {
  error: saysMissing(`one of ${OUTCOMES.join(', ')}, or a list of them`),
});
/** Of every discipline, or by discipline. */
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
      `one of ${OUTCOMES.join(', ')}, a list of them, or for each discipline one: { linux-6.7: deadlock, hand-off: finished }`,
    ),
  },
);

const client = fields('a client', {
  kernel: flag.optional(),
  system: flag.optional(),
  application: reference.optional(),
  session: oneOf(['kept', 'each-round']).optional(),
  sharedMemory: wholeNumber(1, mostSharedMemory).optional(),
  threadOf: reference.optional(),
  passive: flag.optional(),
  transport: oneOf(['msg', 'smt']).optional(),
  count: wholeNumber(1, mostClients).optional(),
  callers: wholeNumber(1, mostClients).optional(),
  repeat: z.union([z.literal('forever'), repeats], { error: repeatsError }).optional(),
  every: drawnTime.refine(({ min }) => min > 0, { error: 'it takes a time longer than zero' }).optional(),
  start: drawnTime.optional(),
  deadline: period.optional(),
  steps: z
    .array(
      step('a step of a client', {
        invoke: reference,
        wait: drawnTime,
        notify: interruptNotification,
        close: isTrue,
        free: isTrue,
        system: isTrue,
        open: isTrue,
      }),
      {
        error: saysMissing('a list of steps, such as [{ invoke: write }]'),
      },
    )
    .min(1, { error: 'it takes at least one step' })
    .optional(),
});

const nth = wholeNumber(1, mostRepeats);

export const scenarioSchema = fields('a scenario', {
  title: text,
  about: text.optional(),
  queues: z
    .array(oneOf(queueNames), { error: saysMissing('a list of queues') })
    .min(1, { error: 'it takes at least one queue' })
    .optional(),
  expect: expectation.optional(),
  limit: period.optional(),
  preemption: drawnTime.optional(),
  secureWorld: fields('the secure world', {
    threads: wholeNumber(1, mostThreads).optional(),
    announced: wholeNumber(0, mostThreads).optional(),
    abi: oneOf(['smc', 'ffa']).optional(),
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
      .union(
        [
          z.enum(['present', 'absent']),
          z
            .strictObject({ leaves: time, returns: time.optional() })
            .refine(({ leaves, returns = Number.POSITIVE_INFINITY }) => returns > leaves, {
              error: 'it returns after it left',
            }),
        ],
        {
          error: saysMissing(
            'one of present, absent, or { leaves: 5ms, returns: 20ms }: times, of which the second is later or left out',
          ),
        },
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

/** A scenario file as it stands, times in milliseconds, nothing filled in. */
export type ScenarioFile = z.output<typeof scenarioSchema>;
