import { requireMethods } from '../known-options.js';

/**
 * HMAC-SHA256, 32 octets. The core has no implementation of its own. Synchronous, because a simulation cannot wait for
 * it.
 */
export type Hmac = (key: Uint8Array, data: readonly Uint8Array[]) => Uint8Array;

/** An RPMB partition as seen by a driver of the normal world, which can neither read the key nor forge a MAC. */
export interface RpmbDevice {
  /** Card identification (CID), 16 octets. Secure world derives the key from it. */
  readonly cid: Uint8Array;
  /** RPMB_SIZE_MULT: units of 128 KiB, 1..128. */
  readonly sizeMultiplier: number;
  /** REL_WR_SEC_C: maximum size of one write, in sectors of 512 octets. */
  readonly reliableWriteSectors: number;
  /**
   * Send frames to the card and receive its answer. If the request requires the result to be read, this is included.
   * @param frames a whole number of frames, at least one.
   * @param answerSize octets of the answer, a whole number of frames.
   * @throws Error if the card does not answer.
   */
  exchange(frames: Uint8Array, answerSize: number): Uint8Array | Promise<Uint8Array>;
}

/** @throws TypeError naming an option that is not an array of RPMB devices. */
export function checkRpmbDevices(whose: string, name: string, devices: readonly RpmbDevice[]): void {
  if (!Array.isArray(devices))
    throw new TypeError(`${whose}: ${name} must be an array of RPMB devices, not ${typeof devices}`);
  devices.forEach((device, index) => {
    requireMethods(whose, `${name}[${index}]`, device, ['exchange']);
  });
}
