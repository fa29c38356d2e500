/** A part of an input: what JSON has. Integers beyond 2^53 are those that a double holds exactly. */
export type FuzzValue = number | string | readonly FuzzValue[] | FuzzRecord;
export interface FuzzRecord {
  readonly [name: string]: FuzzValue;
}

/** A typed operation: `kind` says which of a grammar's it is, the rest are its fields. */
export type Step = FuzzRecord & { readonly kind: string };

/** What is executed as one: operations, in sequence. */
export interface FuzzInput {
  readonly steps: readonly Step[];
}

/** An integer from 0. `usual` are values that mean something where it goes. */
export interface IntegerField {
  readonly type: 'integer';
  readonly max: number;
  readonly usual: readonly number[];
}

/** One of some words. */
export interface ChoiceField {
  readonly type: 'choice';
  readonly of: readonly [string, ...string[]];
}

/** Octets, in hexadecimal. `usual` are some that mean something where they go. */
export interface OctetsField {
  readonly type: 'octets';
  readonly maxLength: number;
  readonly usual: readonly string[];
}

export interface ListField {
  readonly type: 'list';
  readonly of: Field;
  readonly max: number;
}

/** One of several records, each with fields of its own; `kind` tells which. The first is the simplest. */
export interface RecordField {
  readonly type: 'record';
  readonly of: Readonly<Record<string, Readonly<Record<string, Field>>>>;
  /** How often each is drawn, against 1 for what is left out. */
  readonly weights?: Readonly<Record<string, number>>;
}

export type Field = IntegerField | ChoiceField | OctetsField | ListField | RecordField;

/** What inputs of a target are made of. */
export interface Grammar {
  readonly steps: RecordField;
  readonly maxSteps: number;
}

/** What the input breaks of the grammar, naming the place; undefined when it is one of it. */
export function grammarMistake({ steps, maxSteps }: Grammar, input: FuzzInput): string | undefined {
  return mistake({ type: 'list', of: steps, max: maxSteps }, input.steps, 'steps');
}

function mistake(field: Field, value: FuzzValue | undefined, place: string): string | undefined {
  switch (field.type) {
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= field.max
        ? undefined
        : `${place} is ${JSON.stringify(value)}, not an integer from 0 to ${field.max}`;
    case 'choice':
      return typeof value === 'string' && field.of.includes(value)
        ? undefined
        : `${place} is ${JSON.stringify(value)}; allowed: ${field.of.join(', ')}`;
    case 'octets':
      return typeof value === 'string' && /^(?:[0-9a-f]{2})*$/.test(value) && value.length <= 2 * field.maxLength
        ? undefined
        : `${place} is not up to ${field.maxLength} octets in hexadecimal`;
    case 'list':
      if (!Array.isArray(value) || value.length > field.max) return `${place} is not a list of up to ${field.max}`;
      return first(
        (value as readonly FuzzValue[]).map((each, index) => () => mistake(field.of, each, `${place}[${index}]`)),
      );
    case 'record': {
      const record = recordOf(value);
      const kind = record?.kind;
      const fields = typeof kind === 'string' && Object.hasOwn(field.of, kind) ? field.of[kind] : undefined;
      if (record === undefined || fields === undefined)
        return `${place}.kind is ${JSON.stringify(kind)}; allowed: ${Object.keys(field.of).join(', ')}`;
      const foreign = Object.keys(record).find((name) => name !== 'kind' && !Object.hasOwn(fields, name));
      if (foreign !== undefined) return `${place}.${foreign}: ${String(kind)} has no such field`;
      return first(
        Object.entries(fields).map(
          ([name, of]) =>
            () =>
              mistake(of, record[name], `${place}.${name}`),
        ),
      );
    }
    default:
      return field satisfies never;
  }
}

export function recordOf(value: FuzzValue | undefined): FuzzRecord | undefined {
  return typeof value === 'object' && !Array.isArray(value) ? (value as FuzzRecord) : undefined;
}

function first(checks: readonly (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const found = check();
    if (found !== undefined) return found;
  }
  return undefined;
}
