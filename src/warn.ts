import { show } from './show.js';

/** A warning of the process, where there is one; of the console elsewhere. */
export function warn(message: string): void {
  const { process } = globalThis as { readonly process?: { emitWarning?(message: string, type: string): void } };
  if (process?.emitWarning === undefined) console.warn(message);
  else process.emitWarning(message, 'NormalworldWarning');
}

/**
 * Somebody who is told of what happens must not break it by throwing. The first error is a warning.
 * @param whose of what, for the warning.
 * @throws TypeError for a listener that is no function.
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
