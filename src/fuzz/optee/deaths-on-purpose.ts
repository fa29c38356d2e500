import type { Verdict } from '../engine/verdict.js';

/**
 * Applications of OP-TEE's test suite that panic by design on some inputs: such a panic is not a finding. Source:
 * OP-TEE/optee_test, folder ta/.
 */
export const diesOnPurpose: ReadonlyMap<string, string> = new Map([
  [
    'b689f2a7-8adf-477a-9f99-32e90c0ad0a2',
    'storage: takes handles of objects from its client as numbers, and uses them as pointers',
  ],
  ['731e279e-aafb-4575-a771-38caa6f0cca6', 'storage2: the same code as storage'],
  [
    'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b',
    'crypt: takes handles of operations and objects from its client as numbers, and uses them as pointers',
  ],
  [
    '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b',
    'os_test: has commands that panic, and that touch memory which is not there',
  ],
]);

/** Whether a verdict is a panic by design. Effects on other applications are never by design. */
export function isOnPurpose({ kind, signature }: Verdict): boolean {
  if (kind !== 'ta-panic' && kind !== 'ta-abort') return false;
  return [...diesOnPurpose.keys()].some((uuid) => signature.startsWith(`${uuid} `));
}
