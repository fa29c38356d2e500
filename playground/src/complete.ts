import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { JsonSchema, ScenarioJsonSchema } from '../../src/scenario/file/json-schema.js';

export interface Completion {
  readonly label: string;
  /** A description for the user. */
  readonly detail: string;
}

/** A placeholder for the cursor in the parsed text. */
const cursor = 'cursor0here';

/** Fields whose value is a name defined in the file, and the sections that define such names. */
const references: Readonly<Record<string, readonly string[]>> = {
  application: ['applications'],
  applications: ['applications'],
  client: ['clients'],
  agent: ['clients'],
  threadOf: ['clients'],
  lock: ['locks'],
  claim: ['locks'],
  switching: ['locks'],
  rpc: ['services'],
};

/**
 * Completions at a position of a scenario: fields and values from its schema, and names defined in the file.
 * @returns where the word at the position begins, and what can replace it; undefined if nothing is known.
 */
export function completionsAt(
  schema: ScenarioJsonSchema,
  text: string,
  place: number,
): { readonly from: number; readonly options: readonly Completion[] } | undefined {
  const before = /[\w-]*$/.exec(text.slice(0, place))?.[0] ?? '';
  const from = place - before.length;
  const after = /^[\w-]*/.exec(text.slice(place))?.[0] ?? '';
  const line = text.slice(text.lastIndexOf('\n', from - 1) + 1, from);
  const rest = text.slice(place + after.length);
  // A word alone on its line would be parsed as the continuation of the line before, so add a colon.
  const isKey = /^\s*(?:- )?\s*$/.test(line) && !/^\s*:/.test(rest);
  const document = parseDocument(`${text.slice(0, from)}${cursor}${isKey ? ':' : ''}${rest}`, {
    strict: false,
    uniqueKeys: false,
    merge: true,
  });
  const found = find(document.contents, []);
  if (found === undefined) return undefined;
  const { path, key } = found;
  const here = schemasAt(schema, path);
  const plain: unknown = document.toJS();
  const options = [
    ...here.flatMap((each) => fieldsOf(schema, each)),
    ...(key ? [] : [...here.flatMap((each) => valuesOf(schema, each)), ...namesFor(plain, path)]),
  ];
  const unique = new Map(options.map((option) => [option.label, option]));
  return unique.size === 0 ? undefined : { from, options: [...unique.values()] };
}

type Path = readonly (string | number)[];

/** The position of the cursor in the parsed document, and whether it is in a key. */
function find(node: unknown, path: Path): { readonly path: Path; readonly key: boolean } | undefined {
  if (isScalar(node)) return String(node.value).includes(cursor) ? { path, key: false } : undefined;
  if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) {
      const found = find(item, [...path, index]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!isMap(node)) return undefined;
  for (const { key, value } of node.items) {
    if (isScalar(key) && String(key.value).includes(cursor)) return { path, key: true };
    const found = find(value, [...path, isScalar(key) ? String(key.value) : '']);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The schemas that apply to a position. */
function schemasAt(root: ScenarioJsonSchema, path: Path): readonly JsonSchema[] {
  let here: readonly JsonSchema[] = [root];
  for (const step of path)
    here = here.flatMap((each) => alternatives(root, each)).flatMap((each) => childOf(each, step) ?? []);
  return here;
}

function childOf(
  { items, properties, additionalProperties }: JsonSchema,
  step: string | number,
): JsonSchema | undefined {
  if (typeof step === 'number') return items;
  return properties?.[step] ?? (additionalProperties === false ? undefined : additionalProperties);
}

function alternatives(root: ScenarioJsonSchema, schema: JsonSchema): readonly JsonSchema[] {
  const { $ref, anyOf } = schema;
  if ($ref !== undefined) return alternatives(root, root.$defs[$ref.replace('#/$defs/', '')] ?? {});
  return anyOf === undefined ? [schema] : anyOf.flatMap((each) => alternatives(root, each));
}

function fieldsOf(root: ScenarioJsonSchema, schema: JsonSchema): readonly Completion[] {
  return alternatives(root, schema).flatMap(({ properties = {}, required = [] }) =>
    Object.keys(properties).map((label) => ({ label, detail: required.includes(label) ? 'required' : 'field' })),
  );
}

function valuesOf(root: ScenarioJsonSchema, schema: JsonSchema): readonly Completion[] {
  return alternatives(root, schema).flatMap(({ type, enum: values = [], const: only }) => {
    const all = [...values, ...(only === undefined ? [] : [only]), ...(type === 'boolean' ? [true, false] : [])];
    return all.map((value) => ({ label: String(value), detail: 'value' }));
  });
}

/** Names defined in the file, for fields that refer to one. */
function namesFor(plain: unknown, path: Path): readonly Completion[] {
  const field = [...path].reverse().find((step) => typeof step === 'string');
  if (typeof field !== 'string') return [];
  const named = references[field] ?? (['invoke', 'command'].includes(field) ? ['commands'] : []);
  return named.flatMap((section) => {
    const names = section === 'commands' ? commandsOf(plain) : Object.keys(record(record(plain)[section]));
    return names.filter((name) => !name.includes(cursor)).map((label) => ({ label, detail: section }));
  });
}

function commandsOf(plain: unknown): readonly string[] {
  return Object.values(record(record(plain).applications)).flatMap((application) =>
    Object.keys(record(record(application).commands)),
  );
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
