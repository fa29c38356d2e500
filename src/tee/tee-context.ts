import type { ClientIdentity } from './login.js';
import type { TeeShm } from './tee-shm.js';

/** One open TEE device: Linux's `struct tee_context`. Sessions and shared memory belong to it. */
export class TeeContext {
  /** Shared memory allocated in this context and not freed yet. */
  readonly shm = new Set<TeeShm>();
  /** The client died: no further requests are made for it. */
  killed = false;
  /** It is closed or being closed: its resources are released. */
  closed = false;
  private lastCancelId = 0;

  /**
   * @param label the name of this client in traces.
   * @param kernel a client inside the kernel. Only such a client may request a system session.
   */
  constructor(
    readonly label: string,
    readonly kernel: boolean,
    readonly identity: ClientIdentity,
  ) {}

  /** A cancellation id that no other request in flight of this context has: 1..2^32-1. */
  newCancelId(): number {
    this.lastCancelId = (this.lastCancelId % 0xffff_ffff) + 1;
    return this.lastCancelId;
  }
}
