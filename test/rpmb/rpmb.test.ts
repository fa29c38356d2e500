import { describe, expect, it } from 'vitest';
import {
  openTee,
  RpcCommand,
  type Session,
  type TaCall,
  temporary,
  trustedApplication,
  value,
} from '../../src/index.js';
import { RpcShmType } from '../../src/protocol/optee-rpc-command.js';
import { RpmbFrame, RpmbRequest, RpmbResult, rpmbFrameSize, rpmbFrames } from '../../src/protocol/rpmb.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { EmulatedEmmc, hmacSha256, type RpmbDevice, type RpmbFault } from '../../src/rpmb/index.js';
import { RpmbStorageCommand, rpcMemref, rpcValue, rpmbStorageTa, seededRandom } from '../../src/testing.js';

const secret = new TextEncoder().encode('hardware unique key of this board');
const storage = (key = secret, writeKey = true) =>
  rpmbStorageTa({ hmac: hmacSha256, secret: key, random: seededRandom(7), writeKey });
const bytes = (count: number, first: number) =>
  Uint8Array.from({ length: count }, (_, index) => (first + index) & 0xff);

const write = (session: Session, block: number, data: Uint8Array) =>
  session.invoke(RpmbStorageCommand.write, [value.input(block), temporary.input(data)]);
const read = async (session: Session, block: number, count = 1) =>
  (await session.invoke(RpmbStorageCommand.read, [value.input(block), temporary.output(count * 256)]))[1];

async function open(route: 'kernel' | 'supplicant', devices: readonly RpmbDevice[], ta = storage(), abi?: 'ffa') {
  const tee = await openTee({
    trustedApplications: [ta],
    ...(abi === undefined ? {} : { simulated: { abi } }),
    ...(route === 'kernel' ? { rpmb: devices } : { supplicant: { rpmb: devices } }),
  });
  const session = await tee.openContext().openSession(ta.uuid);
  const close = async () => {
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  };
  return { tee, session, close };
}

const routes = ['kernel', 'supplicant'] as const;

describe.each(routes)('RPMB routed by the %s', (route) => {
  it('stores blocks with one write each, and counts the writes', async () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    const { session, close } = await open(route, [card]);
    expect(card.hasKey).toBe(false);
    await write(session, 10, bytes(5 * 256, 3));
    expect([card.hasKey, card.writeCounter]).toEqual([true, 5]);
    expect(await read(session, 10, 5)).toEqual(bytes(5 * 256, 3));
    expect(await read(session, 9)).toEqual(new Uint8Array(256));
    await close();
  });

  it('uses its card again after a restart, with the same counter', async () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    for (let boot = 0; boot < 3; boot++) {
      const { session, close } = await open(route, [card]);
      await write(session, 0, bytes(256, boot));
      expect(await read(session, 0)).toEqual(bytes(256, boot));
      await close();
    }
    expect(card.writeCounter).toBe(3);
  });

  it('works over FF-A as well', async () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    const { session, close } = await open(route, [card], storage(), 'ffa');
    await write(session, 1, bytes(512, 9));
    expect(await read(session, 1, 2)).toEqual(bytes(512, 9));
    await close();
  });

  it('refuses blocks beyond the card', async () => {
    const { session, close } = await open(route, [new EmulatedEmmc({ hmac: hmacSha256 })]);
    await expect(write(session, 511, bytes(512, 0))).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
    await expect(write(session, 0, bytes(100, 0))).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
    await close();
  });

  it('does not use a card with another key, and programs no key if that is not permitted', async () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    const first = await open(route, [card]);
    await write(first.session, 0, bytes(256, 1));
    await first.close();
    const other = await open(route, [card], storage(new Uint8Array(32)));
    // The kernel's way goes on to the next device, and there is none.
    const notMine = route === 'kernel' ? TeeResult.ERROR_ITEM_NOT_FOUND : TeeResult.ERROR_SECURITY;
    await expect(read(other.session, 0)).rejects.toMatchObject({ code: notMine });
    await other.close();
    const careful = await open(route, [new EmulatedEmmc({ hmac: hmacSha256 })], storage(secret, false));
    const noKey = route === 'kernel' ? TeeResult.ERROR_ITEM_NOT_FOUND : TeeResult.ERROR_STORAGE_NOT_AVAILABLE;
    await expect(read(careful.session, 0)).rejects.toMatchObject({ code: noKey });
    await careful.close();
  });

  const flip = (offset: number) => (answer: Uint8Array) => {
    const changed = answer.slice();
    changed[offset] = (changed[offset] ?? 0) ^ 1;
    return changed;
  };
  // A card's driver that fails is BAD_PARAMETERS in Linux's kernel, and GENERIC in tee-supplicant.
  const lost = route === 'kernel' ? TeeResult.ERROR_BAD_PARAMETERS : TeeResult.ERROR_GENERIC;
  /** A card whose next exchanges of a type are struck. */
  const struck = (type: number, fault: RpmbFault) => {
    let left = 0;
    const card = new EmulatedEmmc({
      hmac: hmacSha256,
      fault: (request) => (request.type === type && left-- > 0 ? fault : undefined),
    });
    return {
      card,
      strike: (times: number) => {
        left = times;
      },
    };
  };
  const lostAnswer = () => {
    throw new Error('the answer is lost');
  };

  // What an OP-TEE 4.10 answers to its trusted applications (test/rpmb/on-optee.test.ts).
  it.each<[string, RpmbFault, number]>([
    ['is not there', 'unreachable', lost],
    ['fails', { result: RpmbResult.readFailure }, TeeResult.ERROR_GENERIC],
    ['changes data', flip(300), TeeResult.ERROR_SECURITY],
    ['changes its MAC', flip(200), TeeResult.ERROR_SECURITY],
    ['changes the nonce', flip(490), TeeResult.ERROR_SECURITY],
    ['answers something else', flip(511), TeeResult.ERROR_GENERIC],
    ['answers for another block', flip(505), TeeResult.ERROR_GENERIC],
    ['cuts its answer short', (answer) => answer.subarray(0, 100), TeeResult.ERROR_GENERIC],
    ['answers too much', () => new Uint8Array(4096), lost],
  ])('reports a card that %s for a read, and continues to read afterwards', async (_what, fault, code) => {
    const { card, strike } = struck(RpmbRequest.read, fault);
    const { session, close } = await open(route, [card]);
    await write(session, 4, bytes(256, 1));
    strike(1);
    await expect(read(session, 4)).rejects.toMatchObject({ code });
    expect(await read(session, 4)).toEqual(bytes(256, 1));
    await write(session, 4, bytes(256, 3));
    expect(await read(session, 4)).toEqual(bytes(256, 3));
    await close();
  });

  const writeFaults: [string, RpmbFault][] = [
    ['is not there', 'unreachable'],
    ['fails to write', { result: RpmbResult.writeFailure }],
    ['finds the counter wrong', { result: RpmbResult.counterFailure }],
    ['finds the MAC wrong', { result: RpmbResult.authenticationFailure }],
    ['changes its MAC', flip(200)],
  ];
  it.each(writeFaults)('repeats a write if a card %s', async (_what, fault) => {
    const { card, strike } = struck(RpmbRequest.write, fault);
    const { session, close } = await open(route, [card]);
    strike(9);
    await write(session, 4, bytes(256, 1));
    expect(await read(session, 4)).toEqual(bytes(256, 1));
    await close();
  });

  it.each<[string, number, RpmbFault]>([
    ...writeFaults.map(([what, fault]): [string, number, RpmbFault] => [`${what} ten times`, 10, fault]),
    // The card has done it, and refuses the same counter from then on.
    ['loses the answer', 1, lostAnswer],
    ['changes the counter', 1, flip(503)],
    ['answers something else', 1, flip(510)],
  ])('stops using a card that %s for a write, until it is restarted', async (_what, times, fault) => {
    const { card, strike } = struck(RpmbRequest.write, fault);
    const first = await open(route, [card]);
    await write(first.session, 4, bytes(256, 1));
    strike(times);
    const code = TeeResult.ERROR_COMMUNICATION;
    await expect(write(first.session, 5, bytes(256, 2))).rejects.toMatchObject({ code });
    await expect(read(first.session, 4)).rejects.toMatchObject({ code });
    await first.close();
    strike(0);
    const again = await open(route, [card]);
    expect(await read(again.session, 4)).toEqual(bytes(256, 1));
    await again.close();
  });

  it('detects a replayed answer', async () => {
    const answers: Uint8Array[] = [];
    let replay = false;
    const card = new EmulatedEmmc({
      hmac: hmacSha256,
      fault: ({ type }) =>
        type !== RpmbRequest.read
          ? undefined
          : (answer) => {
              answers.push(answer);
              return replay ? (answers[0] ?? answer) : answer;
            },
    });
    const { session, close } = await open(route, [card]);
    await write(session, 0, bytes(256, 1));
    await read(session, 0);
    await write(session, 0, bytes(256, 2));
    replay = true;
    await expect(read(session, 0)).rejects.toMatchObject({ code: TeeResult.ERROR_SECURITY });
    await close();
  });
});

describe('probing', () => {
  it('goes through the devices until it finds its key', async () => {
    const [mine, other] = [1, 2].map(
      (name) => new EmulatedEmmc({ hmac: hmacSha256, cid: new Uint8Array(16).fill(name) }),
    );
    if (mine === undefined || other === undefined) throw new Error('no cards');
    const foreign = await open('kernel', [other], storage(new Uint8Array(32)));
    await write(foreign.session, 0, bytes(256, 0));
    await foreign.close();
    const { session, close } = await open('kernel', [other, mine]);
    await write(session, 0, bytes(256, 5));
    expect([other.writeCounter, mine.writeCounter]).toEqual([1, 1]);
    await close();
  });

  it('ends with ITEM_NOT_FOUND without a device', async () => {
    const { session, close } = await open('kernel', []);
    await expect(read(session, 0)).rejects.toMatchObject({ code: TeeResult.ERROR_ITEM_NOT_FOUND });
    await close();
  });
});

describe('requests that secure world should not make', () => {
  const asking = (invokeCommand: (call: TaCall) => Promise<number>) =>
    trustedApplication({
      uuid: '66666666-0000-4000-8000-000000000001',
      kind: 'pseudo',
      create: () => ({ invokeCommand }),
    });

  const requests: readonly [string, boolean, number, number, number, number][] = [
    ['frames before a device was found', false, RpcCommand.rpmbFrames, 512, 512, TeeResult.ERROR_ITEM_NOT_FOUND],
    ['half a frame', true, RpcCommand.rpmbFrames, 256, 512, TeeResult.ERROR_BAD_PARAMETERS],
    ['no frame', true, RpcCommand.rpmbFrames, 0, 512, TeeResult.ERROR_BAD_PARAMETERS],
    ['half an answer', true, RpcCommand.rpmbFrames, 512, 100, TeeResult.ERROR_BAD_PARAMETERS],
    ['the next device with two buffers', true, RpcCommand.rpmbProbeNext, 512, 512, TeeResult.ERROR_BAD_PARAMETERS],
    ['a reset with buffers', true, RpcCommand.rpmbProbeReset, 512, 512, TeeResult.ERROR_BAD_PARAMETERS],
  ];
  it.each(requests)('are refused: %s', async (_, probed, command, sent, wanted, code) => {
    const ta = asking(async (call) => {
      const memory = await call.allocateRpcMemory(4096, RpcShmType.kernel);
      if (probed) {
        await call.rpc(RpcCommand.rpmbProbeReset, [rpcValue('output')]);
        await call.rpc(RpcCommand.rpmbProbeNext, [rpcValue('output'), rpcMemref('output', memory.mobj, 16)]);
      }
      const result = await call.rpc(command, [
        rpcMemref('input', memory.mobj, sent),
        rpcMemref('output', memory.mobj, wanted),
      ]);
      await call.freeRpcMemory(memory);
      return result;
    });
    const tee = await openTee({ trustedApplications: [ta], rpmb: [new EmulatedEmmc({ hmac: hmacSha256 })] });
    const session = await tee.openContext().openSession(ta.uuid);
    await expect(session.invoke(0)).rejects.toMatchObject({ code });
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  const legacy: readonly [string, readonly number[], number][] = [
    ['shorter than its header', [0, 0], TeeResult.ERROR_BAD_PARAMETERS],
    ['to a device that is not there', [0, 0, 9, 0, 1, 0], TeeResult.ERROR_ITEM_NOT_FOUND],
    ['that is unknown', [9, 0, 0, 0, 1, 0], TeeResult.ERROR_BAD_PARAMETERS],
    ['for data without frames', [0, 0, 0, 0, 1, 0], TeeResult.ERROR_BAD_PARAMETERS],
    ['for data with half a frame', [0, 0, 0, 0, 1, 0, 1, 2, 3], TeeResult.ERROR_BAD_PARAMETERS],
  ];
  it.each(legacy)('are refused by the supplicant: a request %s', async (_, request, code) => {
    const ta = asking(async (call) => {
      const memory = await call.allocateRpcMemory(4096);
      memory.mobj.write(Uint8Array.from(request));
      const result = await call.rpc(RpcCommand.rpmb, [
        rpcMemref('input', memory.mobj, request.length),
        rpcMemref('output', memory.mobj, 512),
      ]);
      await call.freeRpcMemory(memory);
      return result;
    });
    const tee = await openTee({
      trustedApplications: [ta],
      supplicant: { rpmb: [new EmulatedEmmc({ hmac: hmacSha256 })] },
    });
    const session = await tee.openContext().openSession(ta.uuid);
    await expect(session.invoke(0)).rejects.toMatchObject({ code });
    await tee.close();
  });
});

describe('the emulated card', () => {
  const ask = (card: EmulatedEmmc, type: number, change: (frame: RpmbFrame) => void = () => {}) => {
    const frame = new RpmbFrame();
    frame.type = type;
    change(frame);
    return rpmbFrames(card.exchange(frame.bytes, rpmbFrameSize))[0];
  };

  it('accepts a key only once', () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    expect(ask(card, RpmbRequest.readCounter)?.result).toBe(RpmbResult.keyNotProgrammed);
    expect(ask(card, RpmbRequest.programKey)?.result).toBe(RpmbResult.ok);
    expect(ask(card, RpmbRequest.programKey, (frame) => frame.mac.fill(1))?.result).toBe(RpmbResult.generalFailure);
  });

  it('answers an unknown request with an error, and ignores incomplete frames', () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    expect(ask(card, 99)?.result).toBe(RpmbResult.generalFailure);
    expect(() => card.exchange(new Uint8Array(100), 512)).toThrow(/whole frames/);
    expect(() => card.exchange(new Uint8Array(0), 512)).toThrow(/whole frames/);
  });

  it('writes nothing with a wrong MAC', () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    ask(card, RpmbRequest.programKey);
    const answer = ask(card, RpmbRequest.write, (frame) => {
      frame.blockCount = 1;
    });
    expect([answer?.result, card.writeCounter]).toEqual([RpmbResult.authenticationFailure, 0]);
  });
});

describe('the probe of the kernel', () => {
  /** The results of these requests, one after the other. */
  async function answers(devices: readonly RpmbDevice[], requests: readonly ('reset' | 'next' | 'frames')[]) {
    const results: number[] = [];
    const ta = trustedApplication({
      uuid: '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11',
      kind: 'pseudo',
      create: () => ({
        async invokeCommand(call) {
          const { mobj } = await call.allocateRpcMemory(1024, RpcShmType.kernel);
          for (const request of requests)
            results.push(
              await (request === 'reset'
                ? call.rpc(RpcCommand.rpmbProbeReset, [rpcValue('output')])
                : request === 'next'
                  ? call.rpc(RpcCommand.rpmbProbeNext, [rpcValue('output'), rpcMemref('output', mobj, 16)])
                  : call.rpc(RpcCommand.rpmbFrames, [rpcMemref('input', mobj, 512), rpcMemref('output', mobj, 512)])),
            );
        },
      }),
    });
    const tee = await openTee({ trustedApplications: [ta], rpmb: devices });
    await (await tee.openContext().openSession(ta.uuid)).invoke(1);
    await tee.close();
    return results;
  }

  const { SUCCESS, ERROR_SHORT_BUFFER, ERROR_ITEM_NOT_FOUND, ERROR_BAD_PARAMETERS } = TeeResult;
  const card = (octets: number): RpmbDevice => ({
    cid: new Uint8Array(octets),
    sizeMultiplier: 1,
    reliableWriteSectors: 1,
    exchange: () => {
      throw new Error('it is pulled out');
    },
  });

  it('skips a card whose identification does not fit', async () => {
    expect(await answers([card(24), card(16)], ['reset', 'next', 'next', 'next'])).toEqual([
      ...[SUCCESS, ERROR_SHORT_BUFFER, SUCCESS, ERROR_ITEM_NOT_FOUND],
    ]);
  });

  it('returns no card after the last one, and starts again', async () => {
    expect(await answers([card(16)], ['reset', 'next', 'next', 'frames', 'next', 'frames'])).toEqual([
      ...[SUCCESS, SUCCESS, ERROR_ITEM_NOT_FOUND, ERROR_ITEM_NOT_FOUND, SUCCESS, ERROR_BAD_PARAMETERS],
    ]);
  });

  const strange: readonly (readonly [string, object])[] = [
    [
      'throws when it is asked who it is',
      {
        get cid(): Uint8Array {
          throw new TypeError('a bug');
        },
      },
    ],
    ['has no identification', { cid: undefined }],
    ['has a text for one', { cid: 'emulated eMMC 01' }],
    ['has no size', { sizeMultiplier: undefined }],
    ['has a size that is none', { sizeMultiplier: Number.NaN }],
    ['has more than any card', { reliableWriteSectors: 2 ** 40 }],
  ];
  it.each(strange)('fails alone with a card that %s', async (_, wrong) => {
    const own = card(16);
    const other: RpmbDevice = Object.defineProperties({ ...own }, Object.getOwnPropertyDescriptors(wrong));
    expect(await answers([other], ['reset', 'next', 'reset'])).toEqual([SUCCESS, TeeResult.ERROR_GENERIC, SUCCESS]);
  });

  it.each(routes)('tells the call that suffers from it what a card threw, routed by the %s', async (route) => {
    const emmc = new EmulatedEmmc({ hmac: hmacSha256 });
    const { cid, sizeMultiplier, reliableWriteSectors } = emmc;
    const exchange = () => {
      throw new Error('its voltage is off');
    };
    const ta = storage();
    const devices = [{ cid, sizeMultiplier, reliableWriteSectors, exchange }];
    const { session, close } = await open(route, devices, ta);
    await expect(read(session, 0)).rejects.toThrow('its voltage is off');
    await close();
  });
});
