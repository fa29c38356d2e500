import { z } from 'zod';
import { type Duration, durationForm, durationRangeForm, parseDuration, parseTime } from '../duration.js';

/**
 * Building blocks of scenario files: mappings, names, texts, numbers, times, steps. Each error message says what is
 * allowed.
 */

/** Maximum number of applications, of clients, and of commands of one application. */
const mostNames = 1000;

export const saysMissing = (allowed: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined ? `is missing; expected ${allowed}` : `expected ${allowed}`;

/**
 * Fields whose names begin with `x-` are extensions for the author of the file: anchors, notes, data of other programs.
 */
function withoutExtensions(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !name.startsWith('x-')));
}

/** A mapping with exactly these fields. */
export function fields<Shape extends z.core.$ZodLooseShape>(what: string, shape: Shape) {
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
export const nameForm = 'a name: lower-case letters, digits and hyphens, beginning with a letter, at most 32';
export const reference = z
  .string({ error: saysMissing(nameForm) })
  .regex(namePattern, { error: `expected ${nameForm}` });

/** A mapping from names to values. */
export const named = <Value extends z.ZodType>(what: string, value: Value) =>
  z
    .unknown()
    // Checked before the single names, so that a file with very many names is refused quickly.
    .refine((names) => typeof names !== 'object' || names === null || Object.keys(names).length <= mostNames, {
      error: `at most ${mostNames} names are allowed`,
      abort: true,
    })
    .pipe(
      z.record(z.string().regex(namePattern), value, {
        error: (issue) =>
          issue.code === 'invalid_key' ? `this name is not valid; expected ${nameForm}` : saysMissing(what)(issue),
      }),
    )
    // Without a prototype, so that a lookup finds only names of the file.
    .transform((record): typeof record => Object.assign(Object.create(null), record));

// Titles are printed to terminals, reports and pages. Line feeds and tabs are allowed.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
export const text = z
  .string({ error: saysMissing('a string') })
  .refine((value) => !controls.test(value), { error: 'expected a string without control characters' });
export const flag = z.boolean({ error: saysMissing('true or false') });

export function wholeNumber(min: number, max: number) {
  const error = saysMissing(`a whole number from ${min} to ${max}`);
  return z.int({ error }).min(min, { error }).max(max, { error });
}

const timeOf = z.transform((value: unknown, context): number => {
  const parsed = parseTime(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: `expected ${durationForm}` });
  return z.NEVER;
});
export const time: z.ZodType<number> = z.unknown().pipe(timeOf);

/** Why a range is invalid, if the reason is known. */
function rangeForm(value: unknown): string {
  const [first, second, ...more] = typeof value === 'string' ? value.split('..').map(parseTime) : [];
  return first !== undefined && second !== undefined && more.length === 0 && first > second
    ? `the range is reversed; expected ${durationRangeForm}`
    : `expected ${durationRangeForm}`;
}

const evenTime = z.unknown().transform((value, context): Duration => {
  const parsed = parseDuration(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: rangeForm(value) });
  return z.NEVER;
});

const drawnTimeOf = z.transform((value: unknown, context): Duration => {
  if (typeof value !== 'object' || value === null) return passed(evenTime, value, context);
  if ('mean' in value) {
    const { mean, most } = passed(exponentialTime, value, context);
    return { min: 0, max: most, mean };
  }
  const { usually, oneIn, takes } = passed(mixedTime, value, context);
  return { ...usually, rare: { oneIn, time: takes } };
});

/** A time that is drawn for each use: uniform, with a rare longer time, or exponential. */
export const drawnTime = z.unknown().pipe(drawnTimeOf);

/** Parse a value with another schema; its problems are reported for the outer value. */
function passed<Value>(schema: z.ZodType<Value>, value: unknown, context: z.RefinementCtx): Value {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues)
    for (const key of issue.code === 'unrecognized_keys' ? issue.keys.map((name) => [name]) : [[]])
      context.addIssue({ code: 'custom', path: [...issue.path, ...key], message: issue.message });
  return z.NEVER;
}

/** A period of repetition; must not be zero, since virtual time would stop. */
export const period = time.refine((ms) => ms > 0, { error: 'expected a time longer than zero' });

/** A time inside another one: only a fixed time or a uniform range. */
const inner = z.unknown().transform((value, context): Duration => {
  const parsed = parseDuration(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: `expected ${durationForm}; or a range, such as 1ms..3ms` });
  return z.NEVER;
});

const mixedTime = fields('a time with an occasional other value', {
  usually: inner,
  oneIn: wholeNumber(2, 1_000_000),
  takes: inner,
});
const exponentialTime = fields('an exponential time', { mean: period, most: period }).refine(
  ({ mean, most }) => mean <= most,
  { error: 'the mean must not exceed most' },
);

export function oneOf<const Names extends readonly [string, ...string[]]>(names: Names) {
  return z.enum(names, { error: saysMissing(`one of ${names.join(', ')}`) });
}

export const isTrue = z.literal(true, { error: saysMissing('true') });

/** A step: a mapping with exactly one field, whose key is the kind of step. */
export function step<Shape extends z.core.$ZodLooseShape>(what: string, shape: Shape) {
  const optional = Object.fromEntries(Object.entries(shape).map(([name, type]) => [name, z.optional(type)])) as {
    [Name in keyof Shape]: z.ZodOptional<Shape[Name]>;
  };
  return fields(what, optional).refine((value) => Object.keys(value).length === 1, {
    error: `${what} must have exactly one of ${Object.keys(shape).join(', ')}`,
  });
}

const written = { type: 'string', pattern: '^[0-9.]+ ?(us|ms|s|min)$', description: durationForm } as const;
const range = { type: 'string', description: 'a time or a range, such as 1ms..3ms' } as const;

/** The forms of times for the JSON schema, which cannot be derived from the transforms that parse them. */
export const timeForms: ReadonlyMap<z.core.$ZodType, object> = new Map<z.core.$ZodType, object>([
  [timeOf, { anyOf: [written, { const: 0 }] }],
  [
    drawnTimeOf,
    {
      description: durationRangeForm,
      anyOf: [
        range,
        { const: 0 },
        {
          type: 'object',
          properties: { usually: range, oneIn: { type: 'integer', minimum: 2 }, takes: range },
          required: ['usually', 'oneIn', 'takes'],
        },
        { type: 'object', properties: { mean: written, most: written }, required: ['mean', 'most'] },
      ],
    },
  ],
]);
