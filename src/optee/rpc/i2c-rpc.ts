import { RpcI2c, rpcI2cTenBit } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { show } from '../../show.js';
import type { TeeMemrefParam, TeeParam } from '../../tee/tee-param.js';

/** An I2C bus of the normal world, for transfers requested by secure world: Linux's `struct i2c_adapter`. */
export interface I2cAdapter {
  /** Chips may have 10-bit addresses; otherwise 7-bit addresses. */
  readonly tenBit?: boolean;
  /**
   * Read from a chip: i2c_master_recv().
   * @param octets the buffer for the data.
   * @returns the number of octets read, at most the size of the buffer.
   * @throws Error if the chip does not answer.
   */
  receive(chip: number, octets: Uint8Array): number | Promise<number>;
  /**
   * Write to a chip: i2c_master_send().
   * @returns the number of octets written.
   * @throws Error if the chip does not answer.
   */
  send(chip: number, octets: Uint8Array): number | Promise<number>;
}

/** The largest 7-bit and 10-bit addresses. */
const chips = { seven: 0x7f, ten: 0x3ff } as const;

/** Serves OPTEE_RPC_CMD_I2C_TRANSFER as Linux's rpc.c does, in the context of the call. */
export class I2cRpc {
  constructor(private readonly adapters: ReadonlyMap<number, I2cAdapter>) {}

  /** Without a bus the answer is NOT_SUPPORTED, as from a kernel without I2C. */
  async serve(params: readonly TeeParam[], remark: (why: string) => void): Promise<number> {
    if (this.adapters.size === 0) return TeeResult.ERROR_NOT_SUPPORTED;
    const [where, control, data, done, ...more] = params;
    if (!isValue(where, 'input') || !isValue(control, 'input') || !isValue(done, 'output') || more.length > 0)
      return TeeResult.ERROR_BAD_PARAMETERS;
    if (data?.type !== 'memref' || data.direction !== 'inout' || data.shm === null)
      return TeeResult.ERROR_BAD_PARAMETERS;
    const { a: mode, b: bus, c: chip } = where;
    const adapter = this.adapters.get(bus);
    const tenBit = (control.a & rpcI2cTenBit) !== 0;
    if (adapter === undefined || (tenBit && adapter.tenBit !== true)) return TeeResult.ERROR_BAD_PARAMETERS;
    if (chip > (tenBit ? chips.ten : chips.seven)) return TeeResult.ERROR_BAD_PARAMETERS;
    if (mode !== RpcI2c.read && mode !== RpcI2c.write) return TeeResult.ERROR_BAD_PARAMETERS;
    try {
      done.a = await transfer(adapter, mode, chip, data);
      return TeeResult.SUCCESS;
    } catch (error) {
      remark(`the I2C adapter of bus ${bus} failed: ${show(error)}`);
      return TeeResult.ERROR_COMMUNICATION;
    }
  }
}

async function transfer(
  adapter: I2cAdapter,
  mode: number,
  chip: number,
  { shm, offset, size }: TeeMemrefParam,
): Promise<number> {
  const octets = new Uint8Array(size);
  if (mode === RpcI2c.write) {
    shm?.read(offset, octets);
    return atMost(await adapter.send(chip, octets), size);
  }
  const count = atMost(await adapter.receive(chip, octets), size);
  shm?.write(offset, octets.subarray(0, count));
  return count;
}

/** Check the number of octets that an adapter reports before it is written into the message. */
function atMost(count: number, size: number): number {
  if (!Number.isInteger(count) || count < 0 || count > size)
    throw new RangeError(`an I2C adapter reports that it transferred ${count} of ${size} octets`);
  return count;
}

function isValue(param: TeeParam | undefined, direction: 'input' | 'output'): param is TeeParam & { type: 'value' } {
  return param?.type === 'value' && param.direction === direction;
}
