import type { z } from 'zod';
import { checkReferences } from './check-references.js';
import type { FieldPath, Problem } from './problem.js';
import { type ScenarioFile, scenarioSchema } from './scenario-schema.js';

/** Check the shape of a file and its references. Returns all problems at once. */
export function checked(plain: unknown): {
  readonly parsed: ScenarioFile | undefined;
  readonly problems: readonly Problem[];
} {
  const parsed = scenarioSchema.safeParse(plain);
  if (parsed.success) return { parsed: parsed.data, problems: checkReferences(parsed.data) };
  const problems = parsed.error.issues.flatMap(problemsOf);
  // With so many problems, the references are not checked.
  if (problems.length > mostPruned) return { parsed: undefined, problems };
  const rest = scenarioSchema.safeParse(without(plain, problems));
  const references = rest.success ? checkReferences(rest.data) : [];
  // A reference problem in a part from which fields were removed is not certain, so it is not reported.
  const proved = references.filter(
    ({ path }) => !problems.some((other) => path.every((key, at) => key === other.path[at])),
  );
  return { parsed: undefined, problems: [...problems, ...proved] };
}

/** The maximum number of problems whose fields are removed to find further problems. */
const mostPruned = 200;
/** How often the removal is repeated for fields that are then missing. */
const mostPrunings = 4;

/**
 * The file without the fields that have problems, so that its references can be checked. Undefined if a removed field
 * is the target of references, because these would then seem to be wrong.
 */
function without(plain: unknown, problems: readonly Problem[]): unknown {
  let copy: unknown = structuredClone(plain);
  let paths = problems.map(({ path }) => path);
  for (let pruning = 0; pruning < mostPrunings; pruning++) {
    // In reverse order, so that the indices of lists stay valid.
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

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  const path = issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...path, key], message: issue.message }));
  return [{ path, message: issue.message }];
}
