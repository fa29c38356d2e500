import { TeeResult } from '../../../protocol/tee-result.js';
import type { Mobj } from '../memory/mobj.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import type { Core } from './core.js';

/** Drop a reference to a memory object if others remain. False: this is the last one, and `putMobj` must be used. */
export function putMobjNow(mobj: Mobj): boolean {
  if (mobj.references <= 1) return false;
  mobj.references--;
  return true;
}

/** mobj_put(): drop a reference to a memory object. The last one wakes a thread that waits to release it. */
export function* putMobj(core: Core, thread: Thread, mobj: Mobj): Routine<void> {
  mobj.references--;
  if (mobj.references > 0 || mobj.kind === 'reserved') return;
  if (mobj.guarded) {
    core.registeredShm.remove(mobj);
    return;
  }
  core.shmWaiters.signal(core.shmReleased, true);
  yield* core.shmWaiters.wakeNext(thread);
}

/**
 * The normal world unregisters memory: mobj_reg_shm_release_by_cookie(). Waits until no call uses it.
 * @returns BAD_PARAMETERS for a cookie that is unknown, not registered by the normal world, or already being released.
 */
export function* unregister(core: Core, thread: Thread, cookie: number): Routine<number> {
  const mobj = core.registeredShm.find(cookie);
  if (mobj === undefined || mobj.guarded || mobj.releasing) {
    core.log(`no shared memory to release with cookie 0x${cookie.toString(16)}`);
    return TeeResult.ERROR_BAD_PARAMETERS;
  }
  mobj.releasing = true;
  mobj.references--;
  while (mobj.references > 0) yield* core.shmWaiters.wait(thread, core.shmReleased);
  core.registeredShm.remove(mobj);
  // The mutex is released: the next thread that waits for a release checks its condition.
  yield* core.shmWaiters.wakeNext(thread);
  return TeeResult.SUCCESS;
}
