import { show } from './show.js';

/** Emit a warning of the process (`process.emitWarning`); in a browser, a warning on the console. */
export function warn(message: string): void {
  const { process } = globalThis as { readonly process?: { emitWarning?(message: string, type: string): void } };
  if (process?.emitWarning === undefined) console.warn(message);
  else process.emitWarning(message, 'NormalworldWarning');
}

/**
 * Wrap a listener, so that an error in it does not break the code that emits events. The first error becomes a warning.
 * @param whose the name of the listener, for the warning.
 * @throws TypeError if the listener is not a function.
 */
export function unbreakable<Told extends readonly unknown[]>(
  whose: string,
  listener: (...told: Told) => void,
): (...told: Told) => void {
  if (typeof listener !== 'function') throw new TypeError(`${whose} must be a function, not ${show(listener)}`);
  let isTold = false;
  return (...told) => {
    try {
      listener(...told);
    } catch (error) {
      if (isTold) return;
      isTold = true;
      warn(`${whose} threw: ${(error instanceof Error && error.stack) || show(error)}`);
    }
  };
}
