import { DevicePtaCommand, devicePtaUuid, deviceSize } from '../../../protocol/pta-device.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import { uuidOctets } from '../../../protocol/uuid.js';
import type { TrustedApplication } from '../ta/trusted-application.js';
import { trustedApplication } from '../ta/trusted-application.js';

/** The pseudo-TA that lists devices: core/pta/device.c. Every simulated world has it. */
export function deviceEnumerationPta(applications: readonly TrustedApplication[]): TrustedApplication {
  const listed = (device: TrustedApplication['device']) => applications.filter((ta) => ta.device === device);
  return trustedApplication({
    uuid: devicePtaUuid,
    name: 'device.pta',
    kind: 'pseudo',
    concurrent: true,
    create: () => ({
      invokeCommand(call) {
        let devices: readonly TrustedApplication[];
        switch (call.command) {
          case DevicePtaCommand.getDevices:
            devices = listed('always');
            break;
          case DevicePtaCommand.getDevicesSupp:
            devices = listed('with-supplicant');
            break;
          case DevicePtaCommand.getDevicesRpmb:
            devices = listed('with-rpmb');
            break;
          default:
            return TeeResult.ERROR_NOT_IMPLEMENTED;
        }
        const list = call.memref(0, 'output');
        list.size = devices.length * deviceSize;
        for (const [index, { uuid }] of devices.entries())
          if ((index + 1) * deviceSize <= list.capacity) list.write(uuidOctets(uuid), index * deviceSize);
        return list.size > list.capacity ? TeeResult.ERROR_SHORT_BUFFER : TeeResult.SUCCESS;
      },
    }),
  });
}
