import { show } from './show.js';

/**
 * The names of all options of a type. The object is written out where the options are read. It does not compile with a
 * missing or an additional name, so exactly the options that are not read are refused.
 */
export type OptionNames<Options extends object> = Readonly<Record<keyof Options, true>>;

/**
 * Check an object of options: it must be an object, without unknown options. An unknown option with the value undefined
 * is ignored.
 * @returns a sentence that names the mistake; undefined if there is none.
 */
export function optionMistake<Options extends object>(given: unknown, names: OptionNames<Options>): string | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return `options must be an object, not ${given === null ? 'null' : Array.isArray(given) ? 'an array' : typeof given}`;
  const entries = attempt(() => Object.entries(given));
  if (entries.value === undefined) return `options cannot be read: ${show(entries.error)}`;
  for (const [name, value] of entries.value) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    const known = Object.keys(names);
    const meant = known.find((other) => areClose(name, other));
    return `there is no option "${name}"; ${meant === undefined ? `allowed: ${known.join(', ')}` : `did you mean "${meant}"?`}`;
  }
  return undefined;
}

/** @throws TypeError naming the mistake, and the function or class that the options belong to. */
export function requireKnownOptions<Options extends object>(
  whose: string,
  given: unknown,
  names: OptionNames<Options>,
): void {
  const mistake = optionMistake(given, names);
  if (mistake !== undefined) throw new TypeError(`${whose}: ${mistake}`);
}

/**
 * Check an option that is an object of the caller with these methods.
 * @throws TypeError naming the option and the missing method.
 */
export function requireMethods(whose: string, name: string, given: unknown, methods: readonly string[]): void {
  const isObject = typeof given === 'object' && given !== null;
  const missing = methods.filter(
    (method) => !isObject || attempt(() => typeof Reflect.get(given, method) === 'function').value !== true,
  );
  if (missing.length === 0) return;
  const what = isObject ? `has no method ${missing.join(', ')}` : `must be an object, not ${show(given)}`;
  throw new TypeError(`${whose}: ${name} ${what}`);
}

/** Call a function that runs code of the caller, such as a getter or the trap of a Proxy. */
function attempt<T>(read: () => T): { value: T; error?: never } | { value?: never; error: unknown } {
  try {
    return { value: read() };
  } catch (error) {
    return { error };
  }
}

/** A path that the system can be given: not empty, and without NUL. */
export function isPath(given: unknown): given is string {
  return typeof given === 'string' && given !== '' && !given.includes('\0');
}

/** Check an option that must be a function. @throws TypeError naming the option. */
export function requireFunction(whose: string, name: string, given: unknown): void {
  if (typeof given !== 'function') throw new TypeError(`${whose}: ${name} must be a function, not ${show(given)}`);
}

/** Check an option that is an amount, such as bytes or milliseconds. @throws RangeError naming it. */
export function requireAmount(whose: string, name: string, given: unknown): void {
  if (!(typeof given === 'number' && given >= 0))
    throw new RangeError(`${whose}: ${name} is ${show(given)}; allowed: numbers from 0, and Infinity`);
}

/** Check optional booleans. @throws TypeError naming one that is something else. */
export function requireBooleans(whose: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && typeof value !== 'boolean')
      throw new TypeError(`${whose}: ${name} is ${show(value)}; allowed: true and false`);
}

/**
 * Whether two names differ only in case, or in one letter that is missing, additional, different, or swapped with its
 * neighbour.
 */
function areClose(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  if (a === b) return true;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const [restA, restB] = [a.slice(start), b.slice(start)];
  return (
    restA.slice(1) === restB ||
    restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    (restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0])
  );
}
