import type { Tee } from '../../client/tee.js';

/** The calls that have not returned, and what each waits for, as text. */
export function waitingCalls(tee: Tee): readonly string[] {
  const { calls, inside } = tee.waiting();
  return [
    ...calls.map(({ context, purpose, waitsFor }) => `${context}: its ${purpose} waits for ${waitsFor}`),
    ...inside.map(({ context, purpose }) => `${context}: its ${purpose} is in secure world`),
  ];
}
