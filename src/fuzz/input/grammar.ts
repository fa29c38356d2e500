/** A part of an input: a JSON value. Integers above 2^53 are limited to those that a double represents exactly. */
export type FuzzValue = number | string | readonly FuzzValue[] | FuzzRecord;
export interface FuzzRecord {
  readonly [name: string]: FuzzValue;
}

/** A typed operation: `kind` selects the operation, the other properties are its fields. */
export type Step = FuzzRecord & { readonly kind: string };

/** One input: a sequence of operations. */
export interface FuzzInput {
  readonly steps: readonly Step[];
}

/** An integer from 0 to `max`. `usual` lists values that are meaningful for this field. */
export interface IntegerField {
  readonly type: 'integer';
  readonly max: number;
  readonly usual: readonly number[];
}

/** One of a list of words. */
export interface ChoiceField {
  readonly type: 'choice';
  readonly of: readonly [string, ...string[]];
}

/** Octets in hexadecimal. `usual` lists values that are meaningful for this field. */
export interface OctetsField {
  readonly type: 'octets';
  readonly maxLength: number;
  readonly usual: readonly string[];
}

export interface ListField {
  readonly type: 'list';
  readonly of: Field;
  readonly max: number;
  /** Lists that are meaningful for this field. */
  readonly usual?: readonly (readonly FuzzValue[])[];
}

/** A tagged union of records: `kind` is the tag. The first alternative is the simplest. */
export interface RecordField {
  readonly type: 'record';
  readonly of: Readonly<Record<string, Readonly<Record<string, Field>>>>;
  /** Relative probability of each alternative; 1 when left out. */
  readonly weights?: Readonly<Record<string, number>>;
}

export type Field = IntegerField | ChoiceField | OctetsField | ListField | RecordField;

/** The structure of a target's inputs. */
export interface Grammar {
  readonly steps: RecordField;
  readonly maxSteps: number;
}

/** The first violation of the grammar in an input, with its place; undefined if the input is valid. */
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
