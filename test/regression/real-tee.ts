import { afterAll, beforeAll, expect } from 'vitest';
import { type Context, type OpenTeeOptions, openTee, type Tee } from '../../src/index.js';
import { realOptions } from '../worlds/qemu/real-optee.js';

/** Real OP-TEE for a group of regression tests; a call that hangs ends the group with the secure console's tail. */
export function openRealTee(options: OpenTeeOptions = {}): Promise<Tee> {
  return openTee({ ...realOptions(), ...options });
}

/** The same with one client, opened before the tests of the group; none of its memory may be left after them. */
export function realTee(): { readonly tee: Tee; readonly context: Context } {
  let tee: Tee;
  let context: Context;
  beforeAll(async () => {
    tee = await openRealTee();
    context = tee.openContext();
  });
  afterAll(async () => {
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });
  return {
    get tee() {
      return tee;
    },
    get context() {
      return context;
    },
  };
}
