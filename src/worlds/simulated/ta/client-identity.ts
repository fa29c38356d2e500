import type { Uuid } from '../../../protocol/uuid.js';

/** TEE_Identity: the identity of the client that opened a session. */
export interface ClientIdentity {
  /** TEE_LOGIN_*: `LoginClass`. */
  readonly login: number;
  /** The nil UUID for public clients and for the kernel. */
  readonly uuid: Uuid;
}
