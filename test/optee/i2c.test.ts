import { afterEach, describe, expect, it } from 'vitest';
import { openWorld } from '../../src/open-world.js';
import type { I2cAdapter } from '../../src/optee/rpc/i2c-rpc.js';
import { RpcCommand, RpcI2c, RpcShmType, rpcI2cTenBit } from '../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import {
  type RpcParameter,
  rpcMemref,
  rpcValue,
  SimulatedWorld,
  type TaCall,
  trustedApplication,
} from '../../src/worlds/simulated/index.js';

const uuid = '5e3d1a2c-9d0f-4b52-a07b-6f1c2f0d8e44';

/** A chip with registers, at 0x48 of bus 2; at 0x2aa on a bus that has ten bits. */
class Chip implements I2cAdapter {
  readonly tenBit = true;
  readonly written: number[] = [];
  async send(chip: number, octets: Uint8Array): Promise<number> {
    if (chip !== 0x48 && chip !== 0x2aa) throw new Error('no acknowledge');
    this.written.push(...octets);
    return octets.length;
  }
  receive(chip: number, octets: Uint8Array): number {
    if (chip !== 0x48) throw new Error('no acknowledge');
    octets.set([0xaa, 0xbb]);
    return 2;
  }
}

/** What secure world is answered, and what is in the memory and in the count after it. */
interface Answer {
  result: number;
  octets: number[];
  done: number;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Has secure world ask for a transfer. */
async function asked(
  i2c: ReadonlyMap<number, I2cAdapter>,
  [mode, bus, chip]: readonly [number, number, number],
  flags = 0,
  shape: (params: RpcParameter[]) => RpcParameter[] = (params) => params,
): Promise<Answer> {
  const answer: Answer = { result: -1, octets: [], done: -1 };
  const ask = async (call: TaCall) => {
    const memory = await call.allocateRpcMemory(4, RpcShmType.kernel);
    memory.mobj.write(Uint8Array.of(1, 2, 3, 4));
    const done = rpcValue('output');
    const params = [
      rpcValue('input', mode, bus, chip),
      rpcValue('input', flags),
      rpcMemref('inout', memory.mobj, 4),
      done,
    ];
    answer.result = await call.rpc(RpcCommand.i2cTransfer, shape(params));
    answer.octets = [...memory.mobj.read(0, 4)];
    answer.done = done.a;
    await call.freeRpcMemory(memory);
  };
  const application = trustedApplication({ uuid, kind: 'pseudo', create: () => ({ invokeCommand: ask }) });
  const tee = await openWorld(new SimulatedWorld({ trustedApplications: [application] }), { i2c });
  closing.push(() => tee.close());
  const session = await tee.openContext().openSession(uuid);
  await session.invoke(0);
  return answer;
}

const bus = (adapter: I2cAdapter = new Chip()) => new Map([[2, adapter]]);

describe('an I2C transfer that secure world asks for', () => {
  it('is written to the chip, and the length is returned', async () => {
    const chip = new Chip();
    expect(await asked(bus(chip), [RpcI2c.write, 2, 0x48])).toMatchObject({ result: TeeResult.SUCCESS, done: 4 });
    expect(chip.written).toEqual([1, 2, 3, 4]);
    expect(await asked(bus(chip), [RpcI2c.write, 2, 0x2aa], rpcI2cTenBit)).toMatchObject({ result: TeeResult.SUCCESS });
  });

  it("is read into secure world's memory, as far as the chip returned data", async () => {
    expect(await asked(bus(), [RpcI2c.read, 2, 0x48])).toEqual({
      result: TeeResult.SUCCESS,
      octets: [0xaa, 0xbb, 3, 4],
      done: 2,
    });
  });

  const plain: I2cAdapter = { send: (_, { length }) => length, receive: () => 0 };
  const ofLength = (count: number): I2cAdapter => ({ send: () => count, receive: () => count });
  it.each<[string, ReadonlyMap<number, I2cAdapter>, [number, number, number], number, number]>([
    ['no bus at all', new Map(), [RpcI2c.write, 2, 0x48], 0, TeeResult.ERROR_NOT_SUPPORTED],
    ['another bus', bus(), [RpcI2c.write, 3, 0x48], 0, TeeResult.ERROR_BAD_PARAMETERS],
    ['neither reading nor writing', bus(), [2, 2, 0x48], 0, TeeResult.ERROR_BAD_PARAMETERS],
    ['ten bits on a bus of seven', bus(plain), [RpcI2c.read, 2, 0x48], 1, TeeResult.ERROR_BAD_PARAMETERS],
    ['an address beyond seven bits', bus(), [RpcI2c.write, 2, 0x80], 0, TeeResult.ERROR_BAD_PARAMETERS],
    ['an address beyond ten bits', bus(), [RpcI2c.write, 2, 0x400], 1, TeeResult.ERROR_BAD_PARAMETERS],
    ['a chip that does not answer', bus(), [RpcI2c.read, 2, 0x49], 0, TeeResult.ERROR_COMMUNICATION],
    ['an adapter that reads more than was asked', bus(ofLength(5)), [0, 2, 1], 0, TeeResult.ERROR_COMMUNICATION],
    ['an adapter that reads less than nothing', bus(ofLength(-1)), [0, 2, 1], 0, TeeResult.ERROR_COMMUNICATION],
    ['an adapter that writes no number', bus(ofLength(Number.NaN)), [1, 2, 1], 0, TeeResult.ERROR_COMMUNICATION],
  ])('is refused with %s, and the call continues', async (_, i2c, where, flags, result) => {
    expect(await asked(i2c, where, flags)).toMatchObject({ result, octets: [1, 2, 3, 4], done: 0 });
  });

  it.each<[string, (params: RpcParameter[]) => RpcParameter[]]>([
    ['nothing', () => []],
    ['too few', (params) => params.slice(0, 3)],
    ['memory first', ([where, control, memory, done]) => [memory, control, where, done].flatMap((each) => each ?? [])],
    [
      'a value in place of memory',
      ([where, control, , done]) => [where, control, control, done].flatMap((each) => each ?? []),
    ],
    [
      'no memory',
      ([where, control, , done]) => [where, control, rpcMemref('inout'), done].flatMap((each) => each ?? []),
    ],
  ])('is refused with %s for parameters', async (_, shape) => {
    expect(await asked(bus(), [RpcI2c.write, 2, 0x48], 0, shape)).toMatchObject({
      result: TeeResult.ERROR_BAD_PARAMETERS,
    });
  });
});
