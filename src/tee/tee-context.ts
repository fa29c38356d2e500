import type { ClientIdentity } from './login.js';
import type { TeeShm } from './tee-shm.js';

/** One opening of the TEE device: Linux's `struct tee_context`. Sessions and shared memory belong to it. */
export class TeeContext {
  /** Shared memory allocated in this context and not freed yet. */
  readonly shm = new Set<TeeShm>();
  /** The client died: nothing is asked for it any more. */
  killed = false;
  /** It is being closed, or is: what it had is given back. */
  closed = false;
  private lastCancelId = 0;

  /**
   * @param label what traces call this client.
   * @param kernel a client inside the kernel; only such a one may ask for a system session.
   */
  constructor(
    readonly label: string,
    readonly kernel: boolean,
    readonly identity: ClientIdentity,
  ) {}

  /** A cancellation id that no other request in flight of this context has; never 0. */
  newCancelId(): number {
    this.lastCancelId = (this.lastCancelId % 0xffff_ffff) + 1;
    return this.lastCancelId;
  }
}
