import { rpmbFrameSize } from '../protocol/rpmb.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeMemrefParam } from '../tee/tee-param.js';
import type { RpmbDevice } from './rpmb-device.js';

/** The most octets that one exchange may have, in each direction. */
export const exchangeMax = 64 * 1024;

/**
 * Carry frames of secure world to a card, and the card's answer back, whoever routes them.
 * @param answer where secure world wants it; its size stays.
 * @param unreachable what is answered when the card cannot be reached, or answers with something else.
 * @returns BAD_PARAMETERS for sizes that are no whole number of frames, none or too many.
 */
export async function exchangeFrames(
  device: RpmbDevice,
  frames: Uint8Array,
  answer: TeeMemrefParam,
  unreachable: number,
): Promise<number> {
  for (const size of [frames.length, answer.size])
    if (size === 0 || size % rpmbFrameSize !== 0 || size > exchangeMax) return TeeResult.ERROR_BAD_PARAMETERS;
  let back: Uint8Array;
  try {
    back = await device.exchange(frames, answer.size);
  } catch {
    return unreachable;
  }
  if (!(back instanceof Uint8Array) || back.length > answer.size) return unreachable;
  answer.shm?.write(answer.offset, back);
  return TeeResult.SUCCESS;
}
