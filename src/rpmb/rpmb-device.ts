/** HMAC-SHA256: 32 octets. The core has none of its own, and a simulation cannot wait for one. */
export type Hmac = (key: Uint8Array, data: readonly Uint8Array[]) => Uint8Array;

/** An RPMB partition as a driver of the normal world sees it, which can neither read nor forge what matters in it. */
export interface RpmbDevice {
  /** The card's identification, 16 octets: secure world derives the key from it. */
  readonly cid: Uint8Array;
  /** RPMB_SIZE_MULT: units of 128 KiB, 1..128. */
  readonly sizeMultiplier: number;
  /** REL_WR_SEC_C: sectors of 512 octets that one write may have. */
  readonly reliableWriteSectors: number;
  /**
   * Give frames to the card and take its answer, the reading of the result included where the request wants one.
   * @param frames a whole number of frames, one at least.
   * @param answerSize octets wanted, a whole number of frames.
   * @throws Error when the card cannot be reached.
   */
  exchange(frames: Uint8Array, answerSize: number): Uint8Array | Promise<Uint8Array>;
}
