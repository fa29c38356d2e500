import { show } from '../show.js';

/** Checks of values that other code returned. Each throws a TypeError that names the code and the value. */

/** A count of at most `limit`. */
export function countAnswered(answer: unknown, limit: number, by: string): number {
  if (typeof answer !== 'number' || !Number.isInteger(answer) || answer < 0 || answer > limit)
    throw new TypeError(`${by} answered ${show(answer)}, which is not a number from 0 to ${limit}`);
  return answer;
}

export function octetsAnswered(answer: unknown, limit: number, by: string): Uint8Array {
  if (!(answer instanceof Uint8Array)) throw new TypeError(`${by} answered ${show(answer)}, which is not a Uint8Array`);
  if (answer.length > limit) throw new TypeError(`${by} answered ${answer.length} bytes, at most ${limit} are allowed`);
  return answer;
}

/** @param methods methods that will be called on it. */
export function objectAnswered<T extends object>(answer: T, by: string, methods: readonly (keyof T)[] = []): T {
  if ((typeof answer !== 'object' && typeof answer !== 'function') || answer === null)
    throw new TypeError(`${by} answered ${show(answer)}, which is not an object`);
  for (const method of methods)
    if (typeof answer[method] !== 'function')
      throw new TypeError(`${by} answered ${show(answer)}, which has no ${String(method)}()`);
  return answer;
}

/** File names in one folder: a name with a slash is refused. */
export function namesAnswered(answer: unknown, by: string): readonly string[] {
  if (!Array.isArray(answer) || !answer.every((name) => typeof name === 'string' && !/[/\0]/.test(name)))
    throw new TypeError(`${by} answered ${show(answer)}, which is not a list of file names`);
  return answer;
}
