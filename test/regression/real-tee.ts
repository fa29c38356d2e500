import { type OpenTeeOptions, openTee, type Tee } from '../../src/index.js';

/** Real OP-TEE for a group of regression tests; a call that hangs ends the group with the secure console's tail. */
export function openRealTee(options: OpenTeeOptions = {}): Promise<Tee> {
  return openTee({ world: 'qemu', qemu: { callLimitMs: 60_000 }, ...options });
}
