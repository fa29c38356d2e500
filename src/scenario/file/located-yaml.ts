import {
  Document,
  isAlias,
  isMap,
  isNode,
  isSeq,
  LineCounter,
  type Pair,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml';
import type { FieldPath, Problem } from './problem.js';
import { type LocatedProblem, ScenarioFileError } from './scenario-file-error.js';

/** Maximum size of a file in characters. */
const longestFile = 1_000_000;
/**
 * Maximum number of values in a file; values behind an alias count for each use. The number of problems grows with it.
 * The schema library passes problems as arguments of one call, and its stack overflows at about twice this number.
 */
const mostValues = 50_000;
/** Maximum number of aliases: for each one, the parser searches everything before it for the anchor. */
const mostAliases = 1000;

/** A YAML document: its values, and the position of each in the text. */
export class LocatedYaml {
  readonly plain: unknown;
  private readonly lines = new LineCounter();
  private readonly root: unknown;
  private readonly pairs: PairsByName = new WeakMap();

  /** @throws ScenarioFileError if the text is not YAML, or exceeds a maximum. */
  constructor(text: string, file: string) {
    const refused = (problems: readonly (readonly [offset: number, message: string])[]) =>
      new ScenarioFileError(
        file,
        problems.map(([offset, message]) => this.located(offset, message, [])),
      );
    if (text.length > longestFile)
      throw refused([[0, `the file has ${text.length} characters, at most ${longestFile}`]]);
    const [document = new Document(null), ...others] = parseAllDocuments(text, {
      lineCounter: this.lines,
      prettyErrors: false,
      logLevel: 'error',
      merge: true,
      uniqueKeys: false,
    });
    const [second] = others;
    if (second !== undefined) throw refused([[second.range[0], 'a file has one scenario: remove this ---']]);
    if (document.errors.length > 0)
      throw refused(document.errors.map(({ pos, message }) => [pos[0], `not YAML: ${message}`] as const));
    this.root = document.contents;
    const tooMany = tooManyNodes(document);
    if (tooMany !== undefined) throw refused([[0, tooMany]]);
    const repeated = repeatedKeys(this.root);
    if (repeated.length > 0)
      throw refused(repeated.map((offset) => [offset, 'not YAML: Map keys must be unique'] as const));
    try {
      this.plain = document.toJS();
    } catch (error) {
      // Endless aliases, or aliases without an anchor.
      throw refused([[0, `not YAML: ${error instanceof Error ? error.message : error}`]]);
    }
    if (valuesUpTo(this.plain, mostValues + 1) > mostValues) throw refused([[0, tooManyValues]]);
  }

  /** Keys that cannot be the name of a field. */
  unusableKeys(): Problem[] {
    return unusableKeys(this.root, []);
  }

  /** Add positions to the problems, and sort them in the order of the file. */
  locate(problems: readonly Problem[]): LocatedProblem[] {
    return problems
      .map(({ path, message }) => ({ offset: offsetOf(this.root, path, this.pairs), message, path }))
      .sort((one, other) => one.offset - other.offset)
      .map(({ offset, message, path }) => this.located(offset, message, path));
  }

  private located(offset: number, message: string, path: FieldPath): LocatedProblem {
    const { line, col } = this.lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1), field: fieldName(path), message };
  }
}

const tooManyValues = `the file has more than ${mostValues} values, those that aliases stand for included`;

/** The message for a document that exceeds a maximum; undefined if it does not. */
function tooManyNodes(document: Document): string | undefined {
  let values = 0;
  let aliases = 0;
  visit(document, (_, node) => {
    if (isAlias(node)) aliases++;
    if (isNode(node)) values++;
    // Keys are nodes, too, so the limit is twice the number of values.
    return values > 2 * mostValues || aliases > mostAliases ? visit.BREAK : undefined;
  });
  if (aliases > mostAliases) return `the file has more than ${mostAliases} aliases`;
  return values > 2 * mostValues ? tooManyValues : undefined;
}

/** The number of values, counted up to `most`. */
function valuesUpTo(value: unknown, most: number): number {
  let count = 1;
  if (typeof value === 'object' && value !== null)
    for (const each of Object.values(value)) {
      if (count >= most) break;
      count += valuesUpTo(each, most - count);
    }
  return count;
}

/**
 * The positions of keys that occur twice in their mapping. The parser's own check compares each key with all before it,
 * which is quadratic.
 */
function repeatedKeys(node: unknown): readonly number[] {
  if (isSeq(node)) return node.items.flatMap(repeatedKeys);
  if (!isMap(node)) return [];
  const names = new Set<string>();
  return node.items.flatMap(({ key, value }) => {
    const name = isNode(key) ? String(key) : '';
    // Several merge keys are allowed.
    const again = names.has(name) && name !== '<<' && isNode(key) ? [key.range?.[0] ?? 0] : [];
    names.add(name);
    return [...again, ...repeatedKeys(value)];
  });
}

/** The key `__proto__` sets the prototype of a JavaScript object, so later checks would not see it. */
function unusableKeys(node: unknown, path: FieldPath): Problem[] {
  if (isMap(node))
    return node.items.flatMap(({ key, value }) => {
      const name = isNode(key) ? String(key) : '';
      if (name === '__proto__') return [{ path: [...path, name], message: 'this name is not allowed' }];
      return unusableKeys(value, [...path, name]);
    });
  return isSeq(node) ? node.items.flatMap((item, index) => unusableKeys(item, [...path, index])) : [];
}

/**
 * The pairs of mappings by name. Built on the first use of a mapping, because there may be as many problems as names.
 */
type PairsByName = WeakMap<YAMLMap, ReadonlyMap<string, Pair>>;

function pairsOf(map: YAMLMap, known: PairsByName): ReadonlyMap<string, Pair> {
  let pairs = known.get(map);
  if (pairs === undefined) {
    pairs = new Map(map.items.filter(({ key }) => isNode(key)).map((pair) => [String(pair.key), pair]));
    known.set(map, pairs);
  }
  return pairs;
}

/** The offset of a field: its key, or its entry in a list. For a missing field, the offset of its parent. */
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
