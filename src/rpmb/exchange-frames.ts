import { rpmbFrameSize } from '../protocol/rpmb.js';
import { TeeResult } from '../protocol/tee-result.js';
import { show } from '../show.js';
import type { TeeMemrefParam } from '../tee/tee-param.js';
import type { RpmbDevice } from './rpmb-device.js';

/** The maximum size of one exchange in octets, in each direction. */
export const exchangeMax = 64 * 1024;

/**
 * Send frames of secure world to a card, and copy the card's answer. Used by every route.
 * @param answer the destination in secure world's memory; its size does not change.
 * @param unreachable the result if the card does not answer, or answers with an invalid size.
 * @param remark called with the reason for a failure.
 * @returns BAD_PARAMETERS if a size is not a whole number of frames, is zero, or exceeds the maximum.
 */
export async function exchangeFrames(
  device: RpmbDevice,
  frames: Uint8Array,
  answer: TeeMemrefParam,
  unreachable: number,
  remark: (why: string) => void = () => undefined,
): Promise<number> {
  for (const size of [frames.length, answer.size])
    if (size === 0 || size % rpmbFrameSize !== 0 || size > exchangeMax) return TeeResult.ERROR_BAD_PARAMETERS;
  let back: unknown;
  try {
    back = await device.exchange(frames, answer.size);
  } catch (error) {
    remark(`the RPMB device failed: ${show(error)}`);
    return unreachable;
  }
  if (!(back instanceof Uint8Array) || back.length > answer.size) {
    remark(
      `the RPMB device answered ${back instanceof Uint8Array ? `${back.length} bytes` : show(back)}, ${answer.size} bytes were asked for`,
    );
    return unreachable;
  }
  answer.shm?.write(answer.offset, back);
  return TeeResult.SUCCESS;
}
