import { describe, expect, it } from 'vitest';
import {
  openTee,
  startSupplicant,
  type TaCall,
  type TeeDeviceDescription,
  trustedApplication,
} from '../../src/index.js';
import { devicePtaUuid } from '../../src/protocol/pta-device.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { EmulatedEmmc, hmacSha256 } from '../../src/rpmb/index.js';

const uuid = (n: number) => `33333333-0000-4000-8000-${String(n).padStart(12, '0')}`;
const pta = (n: number, device?: 'always' | 'with-supplicant' | 'with-rpmb') =>
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
  it('lists devices that need no supplicant at first, and the others when a supplicant has attached', async () => {
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

  it('lists nothing if there are no devices', async () => {
    const tee = await openTee();
    expect(await tee.devices()).toEqual([]);
    await tee.close();
  });

  it('handles a list that grows while it is read', async () => {
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
      /8 bytes are not a whole number of UUIDs/,
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

describe('a list of devices that is watched', () => {
  /** Hears of each device, in order. */
  const heard = () => {
    const said: string[] = [];
    let wake: () => void = () => undefined;
    const hear = (what: string) => (device: TeeDeviceDescription) => {
      said.push(`${what} ${Number(device.uuid.slice(-3))} ${device.needs}`);
      wake();
    };
    return {
      said,
      options: { onAdded: hear('added'), onRemoved: hear('removed') },
      /** Resolves when so many were told of. */
      async reached(count: number) {
        while (said.length < count)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      },
    };
  };
  const applications = [pta(1, 'always'), pta(2), pta(3, 'with-supplicant'), pta(4, 'with-rpmb')];
  const card = () => new EmulatedEmmc({ hmac: hmacSha256 });

  it('follows devices that depend on the supplicant and on a card', async () => {
    await using tee = await openTee({ supplicant: false, trustedApplications: applications });
    const { said, options, reached } = heard();
    using watch = await tee.watchDevices(options);
    expect(said).toEqual(['added 1 nothing']);
    const supplicant = startSupplicant(tee);
    await reached(2);
    const takeOut = tee.addRpmb(card());
    await reached(3);
    expect(watch.devices).toEqual([
      { uuid: uuid(1), needs: 'nothing' },
      { uuid: uuid(3), needs: 'supplicant' },
      { uuid: uuid(4), needs: 'rpmb' },
    ]);
    expect(tee.rpmbRouting).toBe('kernel');
    expect(await tee.devices()).toHaveLength(3);
    await supplicant[Symbol.asyncDispose]();
    await reached(4);
    takeOut();
    takeOut();
    await reached(5);
    expect(said).toEqual([
      ...['added 1 nothing', 'added 3 supplicant', 'added 4 rpmb', 'removed 3 supplicant', 'removed 4 rpmb'],
    ]);
    expect(tee.rpmbRouting).toBe('user');
  });

  it('filters by UUID regardless of case, and uses the card that was inserted first', async () => {
    await using tee = await openTee({ trustedApplications: applications, rpmb: [card()] });
    const { said, options } = heard();
    using _ = await tee.watchDevices({ ...options, match: [uuid(4).toUpperCase(), uuid(9)] });
    expect(said).toEqual(['added 4 rpmb']);
  });

  it('stops when it is disposed of or its TEE is closed', async () => {
    const tee = await openTee({ supplicant: false, trustedApplications: applications });
    const { said, options } = heard();
    const watch = await tee.watchDevices(options);
    const others = heard();
    await tee.watchDevices(others.options);
    watch[Symbol.dispose]();
    await watch.released;
    startSupplicant(tee);
    await others.reached(2);
    await tee.close();
    expect(said).toEqual(['added 1 nothing']);
    expect(others.said).toEqual(['added 1 nothing', 'added 3 supplicant']);
  });

  it('keeps its content, and reports the error, if OP-TEE cannot be queried', async () => {
    let broken = false;
    await using tee = await openTee({
      supplicant: false,
      trustedApplications: [
        hostile((call) => {
          if (broken) return TeeResult.ERROR_ACCESS_DENIED;
          call.memref(0).size = 0;
          return TeeResult.SUCCESS;
        }),
      ],
    });
    const failure = new Promise((resolve) => {
      void tee.watchDevices({ onError: resolve }).then(() => {
        broken = true;
        startSupplicant(tee);
      });
    });
    expect(await failure).toMatchObject({ code: TeeResult.ERROR_ACCESS_DENIED });
    await expect(tee.watchDevices()).rejects.toMatchObject({ code: TeeResult.ERROR_ACCESS_DENIED });
  });

  it.each([
    [{ match: ['adder'] }, /adder/],
    [{ match: 'x' as never }, /match/],
    [{ onAdded: 1 as never }, /onAdded/],
  ])('refuses %j', async (options, words) => {
    await using tee = await openTee();
    await expect(tee.watchDevices(options)).rejects.toThrow(words);
  });
});
