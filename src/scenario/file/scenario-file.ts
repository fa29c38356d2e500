import { Document, isMap, isNode, isSeq, LineCounter, type Pair, parseAllDocuments, type YAMLMap } from 'yaml';
import type { z } from 'zod';
import type { Scenario } from '../scenario.js';
import { checkReferences } from './check-references.js';
import { completed } from './completed.js';
import { type ParameterValues, withParameters } from './parameters.js';
import type { FieldPath, Problem } from './problem.js';
import { type ScenarioFile, scenarioSchema } from './scenario-schema.js';

/** A problem with the place in the file where it is, both counted from 1. */
export interface LocatedProblem {
  readonly line: number;
  readonly column: number;
  /** The field: `clients.storage.count`; empty for the file as a whole. */
  readonly field: string;
  readonly message: string;
}

/** Problems that a message tells one by one, and the most characters of each. */
const mostTold = 30;
const longestProblem = 1000;

/** The file is no scenario. The message has a line for each problem: `file:line:column: field: what is allowed`. */
export class ScenarioFileError extends Error {
  override readonly name = 'ScenarioFileError';

  constructor(
    file: string,
    readonly problems: readonly LocatedProblem[],
  ) {
    const told = problems
      .slice(0, mostTold)
      .map(({ line, column, field, message }) =>
        `${file}:${line}:${column}: ${field && `${field}: `}${message}`.slice(0, longestProblem),
      );
    const more = problems.length - told.length;
    super([...told, ...(more > 0 ? [`${file}: ${more} further problems`] : [])].join('\n'));
  }
}

/** The longest file that is read, in characters: more than any scenario needs. */
const longestFile = 1_000_000;

/**
 * Read a scenario.
 * @param file its name, for messages.
 * @param set values for its parameters, in place of those that the file gives them.
 * @throws ScenarioFileError with everything that is wrong, in the order of the file.
 */
export function parseScenario(text: string, file: string, set: ParameterValues = {}): Scenario {
  const lines = new LineCounter();
  const located = (offset: number, message: string, path: FieldPath = []): LocatedProblem => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1), field: fieldName(path), message };
  };
  if (text.length > longestFile)
    throw new ScenarioFileError(file, [located(0, `the file has ${text.length} characters, at most ${longestFile}`)]);
  const [document = new Document(null), ...others] = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    uniqueKeys: false,
  });
  const [second] = others;
  if (second !== undefined)
    throw new ScenarioFileError(file, [located(second.range[0], 'a file holds one scenario: leave out this ---')]);
  if (document.errors.length > 0)
    throw new ScenarioFileError(
      file,
      document.errors.map(({ pos, message }) => located(pos[0], `not YAML: ${message}`)),
    );
  let plain: unknown;
  let repeated: readonly number[];
  try {
    repeated = repeatedKeys(document.contents);
    plain = document.toJS();
  } catch (error) {
    // Aliases without end, or to nothing.
    throw new ScenarioFileError(file, [located(0, `not YAML: ${error instanceof Error ? error.message : error}`)]);
  }
  if (repeated.length > 0)
    throw new ScenarioFileError(
      file,
      repeated.map((offset) => located(offset, 'not YAML: Map keys must be unique')),
    );
  const filled = withParameters(plain, set);
  const { parsed, problems: found } = checked(filled.plain);
  // A value that could not be put in is not looked at.
  const unfilled = new Set(filled.problems.map(({ path }) => path.join('.')));
  const problems = [
    ...unusableKeys(document.contents, []),
    ...filled.problems,
    ...found.filter(({ path }) => !unfilled.has(path.join('.'))),
  ];
  const pairs: PairsByName = new WeakMap();
  if (problems.length > 0)
    throw new ScenarioFileError(
      file,
      problems
        .map(({ path, message }) => ({ offset: offsetOf(document.contents, path, pairs), message, path }))
        .sort((one, other) => one.offset - other.offset)
        .map(({ offset, message, path }) => located(offset, message, path)),
    );
  if (parsed === undefined) throw new Error('a refused scenario without a problem');
  return completed(parsed);
}

/** What the shape of a file allows and its references say: all that is wrong at once. */
function checked(plain: unknown): { readonly parsed: ScenarioFile | undefined; readonly problems: readonly Problem[] } {
  const parsed = scenarioSchema.safeParse(plain);
  if (parsed.success) return { parsed: parsed.data, problems: checkReferences(parsed.data) };
  const problems = parsed.error.issues.flatMap(problemsOf);
  // Of a file in which so much is wrong, the shape is enough to tell.
  if (problems.length > mostPruned) return { parsed: undefined, problems };
  const rest = scenarioSchema.safeParse(without(plain, problems));
  const references = rest.success ? checkReferences(rest.data) : [];
  // Where something was taken away, what is left proves nothing.
  const proved = references.filter(
    ({ path }) => !problems.some((other) => path.every((key, at) => key === other.path[at])),
  );
  return { parsed: undefined, problems: [...problems, ...proved] };
}

/** The most problems that are taken out of a file, to see what else is wrong. */
const mostPruned = 200;
/** How often what lacks a field is taken away, too. */
const mostPrunings = 4;

/**
 * What is left of a file without the fields that have problems, so that references can be checked in it; undefined where one
 * of them stands for something that others may refer to: they would seem to refer to nothing.
 */
function without(plain: unknown, problems: readonly Problem[]): unknown {
  let copy: unknown = structuredClone(plain);
  let paths = problems.map(({ path }) => path);
  for (let pruning = 0; pruning < mostPrunings; pruning++) {
    // From behind: places in lists stay what they are.
    for (const path of [...paths].reverse()) if (!removed(copy, path)) return undefined;
    copy = structuredClone(copy);
    const parsed = scenarioSchema.safeParse(copy);
    if (parsed.success) return copy;
    paths = parsed.error.issues.flatMap(problemsOf).map(({ path }) => (isThere(copy, path) ? path : path.slice(0, -1)));
  }
  return undefined;
}

const isThere = (file: unknown, path: FieldPath) => at(file, path) !== undefined;

function at(file: unknown, path: FieldPath): unknown {
  let node = file;
  for (const key of path) node = typeof node === 'object' && node !== null ? Reflect.get(node, key) : undefined;
  return node;
}

function removed(file: unknown, path: FieldPath): boolean {
  const last = path.at(-1);
  const named = path[0] !== 'faults' && (path.length < 3 || (path[2] === 'commands' && path.length < 5));
  if (last === undefined || named) return false;
  const node = at(file, path.slice(0, -1));
  if (typeof node !== 'object' || node === null) return true;
  if (Array.isArray(node)) node.splice(Number(last), 1);
  else Reflect.deleteProperty(node, last);
  return true;
}

/** Where a key stands that its mapping has already. The parser would compare each with all before it. */
function repeatedKeys(node: unknown): readonly number[] {
  if (isSeq(node)) return node.items.flatMap(repeatedKeys);
  if (!isMap(node)) return [];
  const names = new Set<string>();
  return node.items.flatMap(({ key, value }) => {
    const name = isNode(key) ? String(key) : '';
    // Several may be merged.
    const again = names.has(name) && name !== '<<' && isNode(key) ? [key.range?.[0] ?? 0] : [];
    names.add(name);
    return [...again, ...repeatedKeys(value)];
  });
}

/** JavaScript has a meaning of its own for one key; the checks behind would not see it. */
function unusableKeys(node: unknown, path: FieldPath): Problem[] {
  if (isMap(node))
    return node.items.flatMap(({ key, value }) => {
      const name = isNode(key) ? String(key) : '';
      if (name === '__proto__') return [{ path: [...path, name], message: 'this name is not possible anywhere' }];
      return unusableKeys(value, [...path, name]);
    });
  return isSeq(node) ? node.items.flatMap((item, index) => unusableKeys(item, [...path, index])) : [];
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  const path = issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...path, key], message: issue.message }));
  return [{ path, message: issue.message }];
}

/** The pairs of mappings by their names, made when a mapping is first asked: there may be as many problems as names. */
type PairsByName = WeakMap<YAMLMap, ReadonlyMap<string, Pair>>;

function pairsOf(map: YAMLMap, known: PairsByName): ReadonlyMap<string, Pair> {
  let pairs = known.get(map);
  if (pairs === undefined) {
    pairs = new Map(map.items.filter(({ key }) => isNode(key)).map((pair) => [String(pair.key), pair]));
    known.set(map, pairs);
  }
  return pairs;
}

/** Where a field begins: its key, or its place in a list; for one that is not there, what it is missing from. */
function offsetOf(root: unknown, path: FieldPath, known: PairsByName): number {
  let node = root;
  let offset = isNode(root) ? (root.range?.[0] ?? 0) : 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = pairsOf(node, known).get(String(key));
      if (pair === undefined) return offset;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}

const fieldName = (path: FieldPath) =>
  path.reduce<string>((name, key) => (typeof key === 'number' ? `${name}[${key}]` : name ? `${name}.${key}` : key), '');
