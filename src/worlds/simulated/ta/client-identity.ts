import type { Uuid } from '../../../protocol/uuid.js';

/** Who opened a session: TEE_Identity. */
export interface ClientIdentity {
  /** TEE_LOGIN_*: `LoginClass`. */
  readonly login: number;
  /** The nil UUID for public clients and the kernel. */
  readonly uuid: Uuid;
}
