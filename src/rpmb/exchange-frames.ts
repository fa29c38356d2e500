import { rpmbFrameSize } from '../protocol/rpmb.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeMemrefParam } from '../tee/tee-param.js';
import type { RpmbDevice } from './rpmb-device.js';

/** The most octets that one exchange may have, in each direction. */
export const exchangeMax = 64 * 1024;

/**
 * Carry frames of secure world to a card, and the card's answer back, whoever routes them.
 * @param answer where secure world wants it; its size becomes that of the answer.
 * @returns BAD_PARAMETERS for sizes that are no whole number of frames, none or too many; GENERIC when the card cannot be
 *   reached: no more than a kernel driver's -EIO would say.
 */
export async function exchangeFrames(device: RpmbDevice, frames: Uint8Array, answer: TeeMemrefParam): Promise<number> {
  for (const size of [frames.length, answer.size])
    if (size === 0 || size % rpmbFrameSize !== 0 || size > exchangeMax) return TeeResult.ERROR_BAD_PARAMETERS;
  let back: Uint8Array;
  try {
    back = await device.exchange(frames, answer.size);
  } catch {
    return TeeResult.ERROR_GENERIC;
  }
  if (back.length > answer.size) return TeeResult.ERROR_GENERIC;
  answer.shm?.write(answer.offset, back);
  answer.size = back.length;
  return TeeResult.SUCCESS;
}
