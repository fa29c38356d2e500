import type { TeeShm } from './tee-shm.js';

/** Who writes a parameter: the client, the TEE, or both. */
export type ParamDirection = 'input' | 'output' | 'inout';

/**
 * A parameter of a request, as the TEE subsystem passes it between a client and a driver: Linux's `struct tee_param`.
 * The driver updates it in place with the returned value.
 */
export type TeeParam = TeeNoneParam | TeeValueParam | TeeMemrefParam;

export interface TeeNoneParam {
  readonly type: 'none';
}

/** Three 64-bit integers. GlobalPlatform's values use a and b, 32 bits each. */
export interface TeeValueParam {
  readonly type: 'value';
  readonly direction: ParamDirection;
  a: number;
  b: number;
  c: number;
  /**
   * The 24 bytes as in the message. If present, they take precedence over a, b and c. Used for requests of secure world
   * whose bytes are a UUID, or whose words can exceed 2^53-1, the largest exact number.
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
  /** Bytes. On return: the bytes that the TEE wrote, or the bytes needed when the result is SHORT_BUFFER. */
  size: number;
}

export const noneParam: TeeNoneParam = { type: 'none' };
