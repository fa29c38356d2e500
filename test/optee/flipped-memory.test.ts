import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import {
  memref,
  openTee,
  RpcCommand,
  TeecError,
  TeeResult,
  temporary,
  trustedApplication,
  value,
} from '../../src/index.js';
import type { MsgArg } from '../../src/protocol/optee-msg.js';
import type { TeeValueParam } from '../../src/tee/tee-param.js';
import { rpcValue, SimulatedWorld } from '../../src/testing.js';
import { MemoryFile } from '../../src/worlds/qemu/memory-file.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a12';
const seed = Number(process.env.NORMALWORLD_SEED ?? Date.now() % 2 ** 31);
const rounds = 6;
const callsOfRound = 60;

/** Asks the supplicant in each command, and gives back what it got. */
const ta = trustedApplication({
  uuid,
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    async invokeCommand(call) {
      await call.rpc(RpcCommand.plugin, [rpcValue('inout', 1, 2, 3)]);
      if (call.command === 0) call.value(0).a++;
      else call.memref(1).write(Uint8Array.of(1, 2, 3));
    },
  }),
});

/** Writes words of little sense into the memory that both worlds share, from outside of either, until it is told to stop. */
const flipping = `
const { writeSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
let { fd, base, size, seed, stop } = workerData;
const word = new Uint8Array(8);
const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
parentPort.postMessage('flips');
while (Atomics.load(stop, 0) === 0) {
  const kind = Math.floor(random() * 4);
  const words = [0, Math.floor(random() * 16), 0xffffffff, Math.floor(random() * 2 ** 32)];
  new DataView(word.buffer).setUint32(0, words[kind], true);
  new DataView(word.buffer).setUint32(4, random() < 0.8 ? 0 : words[kind], true);
  writeSync(fd, word, 0, random() < 0.5 ? 4 : 8, base + 4 * Math.floor(random() * (size / 4)));
}
`;

it(`changing words of shared memory causes TeecErrors, and no other failure (NORMALWORLD_SEED=${seed})`, {
  timeout: 60_000,
}, async () => {
  const codes = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    let file: MemoryFile | undefined;
    const world = new SimulatedWorld({
      reservedShm: false,
      ...(round % 2 === 0 ? {} : { abi: 'ffa' as const }),
      trustedApplications: [ta],
      dramFile: (size) => {
        file = MemoryFile.create('normalworld-flipped', size);
        return file;
      },
    });
    const tee = await openTee({ world, supplicant: { onError: () => undefined }, callLimitMs: 500 });
    const session = await tee.openContext().openSession(uuid);
    const memory = await tee.openContext().allocateSharedMemory(64);
    await session.invoke(0, [value.inout(1)]);
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const fd = file?.fd;
    if (fd === undefined) throw new Error('the memory is not in a file');
    const worker = new Worker(flipping, {
      eval: true,
      workerData: { fd, base: 0, size: 16 * 4096, seed: seed + round, stop },
    });
    await new Promise((resolve) => worker.once('message', resolve));
    for (let call = 0; call < callsOfRound; call++) {
      const called = await Promise.allSettled([
        session.invoke(0, [value.inout(call)]),
        session.invoke(1, [value.input(call), temporary.inout(new Uint8Array(64))]),
        session.invoke(1, [value.input(call), memref.output(memory)]),
      ]);
      for (const each of called) {
        if (each.status === 'fulfilled') continue;
        expect(each.reason, String(each.reason?.stack)).toBeInstanceOf(TeecError);
        const { codeName } = each.reason as TeecError;
        codes.set(codeName, (codes.get(codeName) ?? 0) + 1);
      }
    }
    Atomics.store(stop, 0, 1);
    await new Promise((resolve) => worker.once('exit', resolve));
    // What it took down is secure world's business; that it can be closed is ours.
    await tee.close({ graceMs: 200 }).catch((error: unknown) => expect(error).toBeInstanceOf(TeecError));
  }
  // It did get in the way.
  expect(codes.size, JSON.stringify([...codes])).toBeGreaterThan(0);
});

it.each(['smc', 'ffa'] as const)(
  'a message that another thread changes while it is written is used as intended, over %s',
  async (abi) => {
    const seen: { message: MsgArg | undefined } = { message: undefined };
    const world = new SimulatedWorld({
      abi,
      trustedApplications: [ta],
      faults: {
        message: (message) => {
          seen.message ??= message;
        },
      },
    });
    await using tee = await openTee({ world, supplicant: { onError: () => undefined } });
    const { device } = tee;
    const context = device.openContext('flips', false, { uid: 0, gid: 0, groups: [] });
    const { session } = await device.openSession(context, uuid, { login: 'public' }, []);
    for (const count of [0xffff_ffff, 0x8000_0000, 127, 7, 6, 5, 0]) {
      seen.message = undefined;
      await device.invoke(context, { session, command: 0, cancelId: 0 }, [value0(() => undefined)]);
      // The next message lies where this one was.
      const place = placeOf(seen);
      expect(place).toBeDefined();
      const flips = value0(() => {
        if (place !== undefined) place.paramCount = count;
      });
      await device.invoke(context, { session, command: 0, cancelId: 0 }, [flips]).catch((error: unknown) => {
        expect(error, String((error as Error).stack)).toBeInstanceOf(TeecError);
      });
      expect(place?.paramCount).toBe(count);
      const sound = value0(() => undefined);
      const reply = await device.invoke(context, { session, command: 0, cancelId: 0 }, [sound]);
      expect(reply.result).toBe(TeeResult.SUCCESS);
    }
  },
);

function placeOf({ message }: { readonly message: MsgArg | undefined }): MsgArg | undefined {
  return message;
}

/** A value that lets another act in the moment when it is written. */
function value0(act: () => void): TeeValueParam {
  return {
    type: 'value',
    direction: 'inout',
    a: 1,
    get b() {
      act();
      return 2;
    },
    set b(_) {},
    c: 0,
  };
}
