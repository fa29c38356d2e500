import { describe, expect, test } from 'vitest';
import type { SmcRegisters } from '../../../src/protocol/conduit.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeSmc, OpteeSmcReturn, opteeApiUid, opteeOsUuid } from '../../../src/protocol/optee-smc.js';
import type { SimulatedWorldOptions } from '../../../src/worlds/simulated/index.js';
import { SimulatedWorld } from '../../../src/worlds/simulated/index.js';

function fast(functionId: number, options: SimulatedWorldOptions = {}, a1 = 0): SmcRegisters {
  const answer = new SimulatedWorld(options).smc(smcRegisters(functionId, a1));
  if (answer instanceof Promise) throw new Error('a fast call was answered later');
  return answer;
}

describe('probe', () => {
  test('UID and OS UUID are those of OP-TEE', () => {
    expect(fast(OpteeSmc.callsUid)).toEqual(smcRegisters(...opteeApiUid));
    expect(fast(OpteeSmc.getOsUuid)).toEqual(smcRegisters(...opteeOsUuid));
  });

  test('revisions are those of OP-TEE 4.5', () => {
    expect(fast(OpteeSmc.callsRevision)).toMatchObject({ a0: 2, a1: 0 });
    expect(fast(OpteeSmc.getOsRevision)).toMatchObject({ a0: 4, a1: 5 });
  });

  test('capabilities, notification values and RPC parameters are those of the QEMU board', () => {
    expect(fast(OpteeSmc.exchangeCapabilities)).toMatchObject({ a0: 0, a1: 0xf5, a2: 0x42, a3: 4 });
    expect(fast(OpteeSmc.exchangeCapabilities, {}, 1)).toMatchObject({ a0: 0, a1: 0xf5 });
    expect(fast(OpteeSmc.exchangeCapabilities, { threads: 5 })).toMatchObject({ a2: 64 + 5 });
  });

  test('an unknown capability of the normal world is refused', () => {
    expect(fast(OpteeSmc.exchangeCapabilities, {}, 2)).toMatchObject({ a0: OpteeSmcReturn.enotAvail });
  });

  test('the reserved shared memory lies at 0x42000000, 2 MiB, cached', () => {
    expect(fast(OpteeSmc.getShmConfig)).toMatchObject({ a0: 0, a1: 0x4200_0000, a2: 0x20_0000, a3: 1 });
  });

  test('the thread count is the configured or the announced number', () => {
    expect(fast(OpteeSmc.getThreadCount)).toMatchObject({ a0: 0, a1: 2 });
    expect(fast(OpteeSmc.getThreadCount, { threads: 3, announcedThreads: 4 })).toMatchObject({ a0: 0, a1: 4 });
  });

  test('RAM of the normal world does not include the reserved memory', () => {
    const mebibyte = 0x10_0000;
    expect(new SimulatedWorld().normalWorldRam).toEqual([
      { base: 0x4000_0000, size: 32 * mebibyte },
      { base: 0x4220_0000, size: 30 * mebibyte },
    ]);
    expect(new SimulatedWorld({ reservedShm: false }).normalWorldRam).toEqual([
      { base: 0x4000_0000, size: 64 * mebibyte },
    ]);
  });
});

describe('a capability that is switched off', () => {
  test.each([
    ['reservedShm', 0x01],
    ['dynamicShm', 0x04],
    ['memrefNull', 0x10],
    ['asyncNotif', 0x20],
    ['rpcArg', 0x40],
  ] as const)('%s is not announced', (name, bit) => {
    expect(fast(OpteeSmc.exchangeCapabilities, { [name]: false }).a1).toBe(0xf5 & ~bit);
  });

  test.each([
    ['GET_SHM_CONFIG', OpteeSmc.getShmConfig, { reservedShm: false }],
    ['GET_THREAD_COUNT', OpteeSmc.getThreadCount, { announcedThreads: false }],
    ['ENABLE_ASYNC_NOTIF', OpteeSmc.enableAsyncNotif, { asyncNotif: false }],
    ['GET_ASYNC_NOTIF_VALUE', OpteeSmc.getAsyncNotifValue, { asyncNotif: false }],
  ] as const)('%s is an unknown function', (_, functionId, options) => {
    expect(fast(functionId, options)).toMatchObject({ a0: OpteeSmcReturn.unknownFunction });
  });

  test('without asynchronous notifications the maximum value is not set', () => {
    expect(fast(OpteeSmc.exchangeCapabilities, { asyncNotif: false })).toMatchObject({ a2: 0 });
  });
});

test.each([0xb200_0005, 0xb200_00ff, 0xbf00_ff00, 0x8000_0000])('fast call %i is unknown', (functionId) => {
  expect(fast(functionId)).toMatchObject({ a0: OpteeSmcReturn.unknownFunction });
});

test('no asynchronous notification is ever pending', () => {
  expect(fast(OpteeSmc.enableAsyncNotif)).toMatchObject({ a0: 0 });
  expect(fast(OpteeSmc.getAsyncNotifValue)).toMatchObject({ a0: 0, a1: 0, a2: 0 });
});

test.each([
  [{ threads: 0 }],
  [{ threads: 1.5 }],
  [{ dram: { base: 0x4000_0100, size: 0x10_0000 } }],
  [{ dram: { base: 0x4000_0000, size: 0x10_0000 } }],
  [{ reservedShm: { base: 0x4200_0000, size: 0 } }],
  [{ reservedShm: { base: 0x4200_0000, size: 0x1_0001 } }],
  [{ reservedShm: { base: 0x3fff_f000, size: 0x2000 } }],
])('an invalid board is refused: %j', (options) => {
  expect(() => new SimulatedWorld(options)).toThrow(RangeError);
});
