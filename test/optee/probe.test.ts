import { describe, expect, it } from 'vitest';
import { openWorld, TeeResult } from '../../src/index.js';
import { type SmcRegisters, smcRegisters } from '../../src/protocol/conduit.js';
import { OpteeSmc } from '../../src/protocol/optee-smc.js';
import { SimulatedWorld, type SimulatedWorldOptions } from '../../src/worlds/simulated/index.js';

/** A world that answers one function differently. */
function answering(functionId: number, answer: SmcRegisters): SimulatedWorldOptions {
  return { faults: { smc: (call) => (call.a0 === functionId ? answer : undefined) } };
}

describe('probing a secure world', () => {
  it('reads the properties of the real OP-TEE', async () => {
    await using tee = await openWorld(new SimulatedWorld());
    expect(tee.info).toEqual({
      apiRevision: { major: 2, minor: 0 },
      osRevision: { major: 4, minor: 5, buildId: 0 },
      capabilities: 0xf5,
      threadCount: 2,
      maxNotificationValue: 0x42,
      rpcParamCount: 4,
      reservedShm: { base: 0x4200_0000, size: 0x20_0000 },
    });
  });

  it('accepts a world that does not report its number of threads', async () => {
    await using tee = await openWorld(new SimulatedWorld({ announcedThreads: false }));
    expect(tee.info.threadCount).toBe(0);
  });

  it.each<[string, SimulatedWorldOptions, RegExp]>([
    [
      'is no OP-TEE',
      answering(OpteeSmc.callsUid, smcRegisters(0xffff_ffff)),
      /it is not OP-TEE: its UID is 0xffffffff-0x00000000/,
    ],
    ['has another API', answering(OpteeSmc.callsRevision, smcRegisters(3, 1)), /API revision is 3\.1, expected 2\.x/],
    [
      'refuses our capabilities',
      answering(OpteeSmc.exchangeCapabilities, smcRegisters(7, 0)),
      /refuses our capabilities/,
    ],
    ['has no shared memory of any kind', { dynamicShm: false, reservedShm: false }, /neither dynamic nor reserved/],
    [
      'has uncached shared memory and no other',
      { ...answering(OpteeSmc.getShmConfig, smcRegisters(0, 0x4200_0000, 0x20_0000, 0)), dynamicShm: false },
      /cache setting 0/,
    ],
    [
      'wants larger RPC messages than fit into a page',
      answering(OpteeSmc.exchangeCapabilities, smcRegisters(0, 0xf5, 0x42, 200)),
      /200 RPC parameters/,
    ],
  ])('refuses one that %s, with the reason', async (_, options, reason) => {
    await expect(openWorld(new SimulatedWorld(options))).rejects.toEqual(
      expect.objectContaining({ code: TeeResult.ERROR_NOT_SUPPORTED, message: expect.stringMatching(reason) }),
    );
  });

  it('refuses reserved memory that does not exist', async () => {
    const elsewhere = answering(OpteeSmc.getShmConfig, smcRegisters(0, 0x9000_0000, 0x20_0000, 1));
    await expect(openWorld(new SimulatedWorld({ ...elsewhere, dynamicShm: false }))).rejects.toThrow(/0x90000000/);
  });

  it('ignores reserved memory that does not exist if there is dynamic memory', async () => {
    const elsewhere = answering(OpteeSmc.getShmConfig, smcRegisters(0, 0x9000_0000, 0x20_0000, 1));
    await using tee = await openWorld(new SimulatedWorld(elsewhere));
    expect(await tee.devices()).toEqual([]);
  });
});
