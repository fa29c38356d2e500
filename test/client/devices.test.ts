import { describe, expect, it } from 'vitest';
import { openTee, startSupplicant, type TaCall, trustedApplication } from '../../src/index.js';
import { devicePtaUuid } from '../../src/protocol/pta-device.js';
import { TeeResult } from '../../src/protocol/tee-result.js';

const uuid = (n: number) => `33333333-0000-4000-8000-${String(n).padStart(12, '0')}`;
const pta = (n: number, device?: 'always' | 'with-supplicant') =>
  trustedApplication({
    uuid: uuid(n),
    kind: 'pseudo',
    create: () => ({ invokeCommand() {} }),
    ...(device === undefined ? {} : { device }),
  });

/** A device PTA of a secure world that is not to be trusted. */
const hostile = (invokeCommand: (call: TaCall) => number) =>
  trustedApplication({ uuid: devicePtaUuid, kind: 'pseudo', create: () => ({ invokeCommand }) });

describe('device enumeration', () => {
  it('lists what needs nothing before a supplicant is there, and the rest afterwards', async () => {
    const tee = await openTee({
      supplicant: false,
      trustedApplications: [pta(1, 'always'), pta(2), pta(3, 'with-supplicant'), pta(4, 'always')],
    });
    const early = [
      { uuid: uuid(1), needs: 'nothing' },
      { uuid: uuid(4), needs: 'nothing' },
    ];
    expect(await tee.devices()).toEqual(early);
    startSupplicant(tee);
    expect(await tee.devices()).toEqual([...early, { uuid: uuid(3), needs: 'supplicant' }]);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('lists nothing where there is nothing', async () => {
    const tee = await openTee();
    expect(await tee.devices()).toEqual([]);
    await tee.close();
  });

  it('takes a list that grows while it is read', async () => {
    let asked = 0;
    const tee = await openTee({
      trustedApplications: [
        hostile((call) => {
          if (call.command !== 0) return TeeResult.ERROR_NOT_IMPLEMENTED;
          const list = call.memref(0);
          list.size = Math.min(++asked, 3) * 16;
          if (list.size > list.capacity) return TeeResult.ERROR_SHORT_BUFFER;
          list.write(new Uint8Array(list.size));
          return TeeResult.SUCCESS;
        }),
      ],
      supplicant: false,
    });
    expect(await tee.devices()).toEqual([{ uuid: '00000000-0000-0000-0000-000000000000', needs: 'nothing' }]);
    await tee.close();
  });

  const lists: readonly [string, (call: TaCall) => number, RegExp][] = [
    [
      'of half a UUID',
      (call) => {
        call.memref(0).size = 8;
        return call.memref(0).capacity < 8 ? TeeResult.ERROR_SHORT_BUFFER : TeeResult.SUCCESS;
      },
      /8 bytes are no whole number of UUIDs/,
    ],
    [
      'of four gigabytes',
      (call) => {
        call.memref(0).size = 2 ** 32;
        return TeeResult.ERROR_SHORT_BUFFER;
      },
      /4294967296 bytes long/,
    ],
    [
      'that always grows',
      (call) => {
        call.memref(0).size = call.memref(0).capacity + 16;
        return TeeResult.ERROR_SHORT_BUFFER;
      },
      /grew 4 times/,
    ],
    ['that is denied', () => TeeResult.ERROR_ACCESS_DENIED, /ACCESS_DENIED/],
  ];
  it.each(lists)('refuses a list %s', async (_, invoke, message) => {
    const tee = await openTee({ trustedApplications: [hostile(invoke)], supplicant: false });
    await expect(tee.devices()).rejects.toThrow(message);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });
});
