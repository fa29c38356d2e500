import { parse } from 'yaml';
import { type FieldPath, list, type Problem } from './problem.js';

/** Values for the parameters of a scenario, by name, in YAML notation: `4`, `10ms`. */
export type ParameterValues = Readonly<Record<string, string>>;

const parameterName = /^[a-z][a-z0-9-]{0,31}$/;
/** The maximum length of a parameter's value in characters, because the value may be inserted everywhere. */
const longestValue = 256;
const use = /\$\{([^}]*)\}/g;

/**
 * Substitute the parameters of a file: `${threads}` is replaced by the value in `parameters: { threads: 2 }`, or by the
 * given one. A value that consists of a single parameter also gets its type.
 */
export function withParameters(
  plain: unknown,
  given: ParameterValues,
): { readonly plain: unknown; readonly problems: readonly Problem[] } {
  if (typeof plain !== 'object' || plain === null || Array.isArray(plain)) return { plain, problems: [] };
  const { parameters = {}, ...file } = plain as Record<string, unknown>;
  const problems: Problem[] = [];
  const values = new Map<string, unknown>();
  const report = (message: string, ...path: FieldPath) => problems.push({ path, message });
  const bounded = (value: unknown, ...path: FieldPath) => {
    if (typeof value !== 'string' || value.length <= longestValue) return value;
    report(`a parameter has at most ${longestValue} characters`, ...path);
    return value.slice(0, longestValue);
  };
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters))
    report('expected a mapping from names to values, such as { threads: 2 }', 'parameters');
  else
    for (const [name, value] of Object.entries(parameters)) {
      if (!parameterName.test(name)) report('this is not a valid name for a parameter', 'parameters', name);
      else if (typeof value === 'object')
        report('a parameter must be a number, a string, true or false', 'parameters', name);
      values.set(name, bounded(value, 'parameters', name));
    }
  for (const [name, text] of Object.entries(given)) {
    if (!values.has(name)) report(`there is no parameter ${name}; parameters are ${list([...values.keys()])}`);
    values.set(name, bounded(scalar(text)));
  }

  const put = (value: unknown, path: FieldPath): unknown => {
    if (typeof value === 'string') return putText(value, path);
    if (Array.isArray(value)) return value.map((item, index) => put(item, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, put(each, [...path, key])]));
  };
  const putText = (text: string, path: FieldPath): unknown => {
    const found = [...text.matchAll(use)];
    const unknown = found.find(([, name = '']) => !values.has(name));
    if (unknown !== undefined) {
      report(`there is no parameter ${unknown[1]}; parameters are ${list([...values.keys()])}`, ...path);
      return text;
    }
    const [only] = found;
    if (only !== undefined && only[0] === text) return values.get(only[1] ?? '');
    return text.replaceAll(use, (_, name: string) => String(values.get(name)));
  };
  return { plain: put(file, []), problems };
}

/** The value of a text in YAML, if it is a scalar. */
function scalar(text: string): unknown {
  try {
    const value: unknown = parse(text);
    return typeof value === 'object' ? text : value;
  } catch {
    return text;
  }
}
