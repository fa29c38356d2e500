import { RpcCommand } from '../protocol/optee-rpc-command.js';
import { RpmbSupplicantCommand, rpmbCidSize, rpmbDeviceInfoSize, rpmbRequestHeaderSize } from '../protocol/rpmb.js';
import { TeeResult } from '../protocol/tee-result.js';
import { exchangeFrames, exchangeMax } from '../rpmb/exchange-frames.js';
import type { RpmbDevice } from '../rpmb/rpmb-device.js';
import { countAnswered, octetsAnswered } from './answers.js';
import { memrefAt } from './request-params.js';
import { guarded } from './service-boundary.js';
import type { SupplicantService } from './supplicant-service.js';

/** The maximum size of a request in bytes. */
const requestMax = rpmbRequestHeaderSize + exchangeMax;

/**
 * RPMB through the supplicant, used before kernels routed frames: memref[0] a request (command, device, block count,
 * then frames), memref[1] the answer. Source: core/tee/tee_rpmb_fs.c, `struct rpmb_req`; tee-supplicant's rpmb.c.
 * @param devices indexed by device number.
 */
export function rpmbService(devices: readonly RpmbDevice[]): SupplicantService {
  return guarded(RpcCommand.rpmb, async (params, serving) => {
    const request = memrefAt(params, 0, 'input');
    const answer = memrefAt(params, 1, 'output');
    if (params.length > 2 || request.size < rpmbRequestHeaderSize || request.size > requestMax)
      return TeeResult.ERROR_BAD_PARAMETERS;
    const bytes = new Uint8Array(request.size);
    request.shm?.read(request.offset, bytes);
    const header = new DataView(bytes.buffer);
    const device = devices[header.getUint16(2, true)];
    if (device === undefined) return TeeResult.ERROR_ITEM_NOT_FOUND;
    switch (header.getUint16(0, true)) {
      case RpmbSupplicantCommand.getDeviceInfo: {
        if (answer.size < rpmbDeviceInfoSize) return TeeResult.ERROR_SHORT_BUFFER;
        const info = new Uint8Array(rpmbDeviceInfoSize);
        info.set(octetsAnswered(device.cid, rpmbCidSize, "an RPMB device's cid"));
        info[rpmbCidSize] = countAnswered(device.sizeMultiplier, 0xff, "an RPMB device's sizeMultiplier");
        info[rpmbCidSize + 1] = countAnswered(
          device.reliableWriteSectors,
          0xff,
          "an RPMB device's reliableWriteSectors",
        );
        answer.shm?.write(answer.offset, info);
        answer.size = info.length;
        return TeeResult.SUCCESS;
      }
      case RpmbSupplicantCommand.data:
        return exchangeFrames(device, bytes.slice(rpmbRequestHeaderSize), answer, TeeResult.ERROR_GENERIC, (why) =>
          serving?.remark(why),
        );
      default:
        return TeeResult.ERROR_BAD_PARAMETERS;
    }
  });
}
