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

/** Three integers of 64 bits. GlobalPlatform's values use a and b, 32 bits each. */
export interface TeeValueParam {
  readonly type: 'value';
  readonly direction: ParamDirection;
  a: number;
  b: number;
  c: number;
  /**
   * The 24 bytes as they stand in the message, which then are what counts: of a request of secure world, where a UUID in
   * them is no three numbers, and where one of the words is larger than 2^53-1, which is beyond what a number tells apart.
   */
  octets?: Uint8Array | undefined;
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
