import type { TeeShm } from './tee-shm.js';

/** Who writes a parameter: the client, the TEE, or both. */
export type ParamDirection = 'input' | 'output' | 'inout';

/**
 * A parameter of a request as the TEE subsystem carries it between a client and a driver: Linux's `struct tee_param`.
 * The driver updates it in place with what came back.
 */
export type TeeParam = TeeNoneParam | TeeValueParam | TeeMemrefParam;

export interface TeeNoneParam {
  readonly type: 'none';
}

/** Three integers, 0..2^53-1 (64-bit in the message). GlobalPlatform's values use a and b, 32 bits each. */
export interface TeeValueParam {
  readonly type: 'value';
  readonly direction: ParamDirection;
  a: number;
  b: number;
  c: number;
  /** In a request of secure world: the 24 bytes as they stand in the message. A UUID in them is no three numbers. */
  readonly octets?: Uint8Array;
}

export interface TeeMemrefParam {
  readonly type: 'memref';
  readonly direction: ParamDirection;
  /** null is GlobalPlatform's null memory reference: no buffer, only a size. */
  readonly shm: TeeShm | null;
  /** Bytes from the start of the shared memory. */
  readonly offset: number;
  /** Bytes; on return what the TEE wrote, or would need when the result is SHORT_BUFFER. */
  size: number;
}

export const noneParam: TeeNoneParam = { type: 'none' };
