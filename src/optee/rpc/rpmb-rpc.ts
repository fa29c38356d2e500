import type { MsgArg } from '../../protocol/optee-msg.js';
import { RpcCommand, RpcShmType } from '../../protocol/optee-rpc-command.js';
import { rpmbKindEmmc } from '../../protocol/rpmb.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { exchangeFrames, exchangeMax } from '../../rpmb/exchange-frames.js';
import type { RpmbDevice } from '../../rpmb/rpmb-device.js';
import { show } from '../../show.js';
import type { TeeMemrefParam, TeeParam } from '../../tee/tee-param.js';
import { Listeners } from '../listeners.js';

/**
 * RPMB devices for which the kernel routes frames: RPMB_PROBE_RESET, RPMB_PROBE_NEXT and RPMB_FRAMES, in Linux's rpc.c
 * since 6.12. Secure world goes through the devices until it finds the one with its key.
 */
export class RpmbRpc {
  /** Index of the device that was returned last; -1 before the first. */
  private current = -1;
  private readonly devices: RpmbDevice[];
  /** Called when a device is added or removed. */
  readonly onChange = new Listeners();

  constructor(devices: readonly RpmbDevice[]) {
    this.devices = [...devices];
  }

  /** Whether there is a device. */
  get present(): boolean {
    return this.devices.length > 0;
  }

  /** Add a device. @returns a function that removes it. */
  add(device: RpmbDevice): () => void {
    this.devices.push(device);
    this.onChange.tell();
    return () => {
      const index = this.devices.indexOf(device);
      if (index < 0) return;
      this.devices.splice(index, 1);
      // Secure world has no device until it probes again. The devices behind this one move up by one.
      if (this.current === index) this.current = -1;
      else if (this.current > index) this.current--;
      this.onChange.tell();
    };
  }

  /** Without devices the answer is NOT_SUPPORTED, and secure world uses the supplicant instead. */
  async serve(command: number, params: readonly TeeParam[], remark: (why: string) => void): Promise<number> {
    if (this.devices.length === 0) return TeeResult.ERROR_NOT_SUPPORTED;
    const [first, second, ...more] = params;
    switch (command) {
      case RpcCommand.rpmbProbeReset:
        if (first?.type !== 'value' || first.direction !== 'output' || second !== undefined)
          return TeeResult.ERROR_BAD_PARAMETERS;
        this.current = -1;
        first.a = RpcShmType.kernel;
        return TeeResult.SUCCESS;
      case RpcCommand.rpmbProbeNext: {
        if (first?.type !== 'value' || first.direction !== 'output') return TeeResult.ERROR_BAD_PARAMETERS;
        if (!isBuffer(second, 'output') || more.length > 0) return TeeResult.ERROR_BAD_PARAMETERS;
        const device = this.devices[this.current + 1];
        // Advance before anything else, as in Linux: secure world treats SHORT_BUFFER as a foreign card and asks for
        // the next. After the last device it starts again from the first.
        this.current = device === undefined ? -1 : this.current + 1;
        if (device === undefined) return TeeResult.ERROR_ITEM_NOT_FOUND;
        const card = identityOf(device);
        if (typeof card === 'string') {
          remark(card);
          return TeeResult.ERROR_GENERIC;
        }
        if (second.size < card.cid.length) return TeeResult.ERROR_SHORT_BUFFER;
        first.a = rpmbKindEmmc;
        first.b = card.sizeMultiplier;
        first.c = card.reliableWriteSectors;
        second.shm?.write(second.offset, card.cid);
        second.size = card.cid.length;
        return TeeResult.SUCCESS;
      }
      case RpcCommand.rpmbFrames: {
        const device = this.devices[this.current];
        if (device === undefined) return TeeResult.ERROR_ITEM_NOT_FOUND;
        if (!isBuffer(first, 'input') || !isBuffer(second, 'output') || more.length > 0)
          return TeeResult.ERROR_BAD_PARAMETERS;
        // Check the size before memory is allocated for the answer.
        if (first.size > exchangeMax) return TeeResult.ERROR_BAD_PARAMETERS;
        // Linux's kernel returns this for every error of the card's driver.
        return exchangeFrames(device, octets(first), second, TeeResult.ERROR_BAD_PARAMETERS, remark);
      }
      default:
        return TeeResult.ERROR_NOT_SUPPORTED;
    }
  }
}

/** Whether a command is served here. */
export function isRpmbProbe(request: MsgArg): boolean {
  return request.cmd >= RpcCommand.rpmbProbeReset && request.cmd <= RpcCommand.rpmbFrames;
}

/** What a device says of itself: somebody else's code, which may throw, and say anything. A string says what is wrong. */
function identityOf(device: RpmbDevice): Pick<RpmbDevice, 'cid' | 'sizeMultiplier' | 'reliableWriteSectors'> | string {
  try {
    const { cid, sizeMultiplier, reliableWriteSectors } = device;
    const isSize = (size: unknown) => Number.isInteger(size) && Number(size) >= 0 && Number(size) <= 0xff;
    if (cid instanceof Uint8Array && isSize(sizeMultiplier) && isSize(reliableWriteSectors))
      return { cid, sizeMultiplier, reliableWriteSectors };
    return `the RPMB device has cid ${show(cid)}, sizeMultiplier ${show(sizeMultiplier)}, reliableWriteSectors ${show(reliableWriteSectors)}`;
  } catch (error) {
    return `the RPMB device failed: ${show(error)}`;
  }
}

function octets({ shm, offset, size }: TeeMemrefParam): Uint8Array {
  const read = new Uint8Array(size);
  shm?.read(offset, read);
  return read;
}

function isBuffer(param: TeeParam | undefined, direction: 'input' | 'output'): param is TeeMemrefParam {
  return param?.type === 'memref' && param.direction === direction && param.shm !== null;
}
