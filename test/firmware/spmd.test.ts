import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smcRegisters } from '../../src/protocol/conduit.js';
import { Ffa, FfaError } from '../../src/protocol/ffa.js';
import { OpteeSmc } from '../../src/protocol/optee-smc.js';
import { QemuWorld } from '../../src/worlds/qemu/qemu-world.js';
import { startWorld, whyNot } from '../worlds/qemu/real-optee.js';

const prefix = 'aarch64-linux-gnu-';
const noQemu = spawnSync('qemu-system-aarch64', ['--version']).status !== 0;
const noCompiler = spawnSync(`${prefix}gcc`, ['--version']).status !== 0;
const why = noQemu ? ' (skipped: no qemu-system-aarch64)' : noCompiler ? ` (skipped: no ${prefix}gcc)` : '';

const msgWait = 0x8400_006b;
const msgYield = 0x8400_006c;
const normalWorldResume = 0x8400_007c;
const secondaryEntry = 0xc400_0087;
const consoleLog = 0x8400_008a;
const spmIdGet = 0x8400_0085;
const spmc = 0x8000;
const partition = 0x8001;
const unknown = 0xffff_ffff;

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** The partition manager of relaying-spmc.S as an image. */
function assemble(definitions: Readonly<Record<string, number>> = {}): string {
  const all = { FIRST_WORD_LOW: msgWait & 0xffff, VERSION_RESPONSE: 9, ...definitions };
  const name = Object.values(all).join('-');
  const [object, linked, image] = ['o', 'elf', 'bin'].map((end) => join(scratch, `${name}.${end}`)) as [
    string,
    string,
    string,
  ];
  const source = fileURLToPath(new URL('relaying-spmc.S', import.meta.url));
  const run = (program: string, ...args: string[]) => {
    const { status, stderr } = spawnSync(`${prefix}${program}`, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  run('gcc', '-c', ...Object.entries(all).map(([key, value]) => `-D${key}=${value}`), '-o', object, source);
  run('ld', '--build-id=none', '-Ttext=0', '-o', linked, object);
  run('objcopy', '-O', 'binary', '-j', '.text', linked, image);
  return image;
}

const start = (definitions?: Readonly<Record<string, number>>, cpus = 1) =>
  QemuWorld.start({ optee: assemble(definitions), cpus, callLimitMs: 10_000, bootLimitMs: 10_000 });

/** What the partition manager gets when it makes an SMC. */
async function relayed(world: QemuWorld, ...[w0, w1 = 0, w2 = 0, w3 = 0]: [number, ...number[]]) {
  const answer = await world.conduit.smc(smcRegisters(Ffa.msgSendDirectReq, partition, 0, w0, w1, w2, w3));
  expect(answer, 'the rest of its registers').toMatchObject({ a0: Ffa.msgSendDirectResp, a7: 1 });
  return { w0: answer.a3, w1: answer.a4, w2: answer.a5, w3: answer.a6 };
}

describe.skipIf(why !== '')(`the secure partition manager dispatcher${why}`, () => {
  /** For what leaves it as it was. */
  let world: QemuWorld;
  beforeAll(async () => {
    world = await start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('is used for an image that is a partition manager, and replaces the other dispatcher', async () => {
    expect(world.abi).toBe('ffa');
    expect((await world.conduit.smc(smcRegisters(OpteeSmc.getThreadCount))).a0).toBe(unknown);
    expect((await world.conduit.smc(smcRegisters(OpteeSmc.callWithArg, 1, 2))).a0).toBe(unknown);
    expect((await world.conduit.smc(smcRegisters(0x8400_0000))).a0, 'PSCI_VERSION').toBe(unknown);
    expect((await world.conduit.smc(smcRegisters(0x8400_00f0))).a0, 'behind the range of FF-A').toBe(unknown);
  });

  it('returns both worlds their ids and the id of the partition manager', async () => {
    expect(await world.conduit.smc(smcRegisters(Ffa.idGet))).toMatchObject({ a0: Ffa.success, a2: 0 });
    expect(await world.conduit.smc(smcRegisters(spmIdGet))).toMatchObject({ a0: Ffa.success, a2: spmc });
    expect(await relayed(world, Ffa.idGet)).toEqual({ w0: Ffa.success, w1: 0, w2: spmc, w3: 0 });
    expect(await relayed(world, spmIdGet)).toEqual({ w0: Ffa.success, w1: 0, w2: 0xffff, w3: 0 });
  });

  it('has the normal world and the partition manager agree on a version', async () => {
    await using world = await start();
    const version = async (asked: number) => (await world.conduit.smc(smcRegisters(Ffa.version, asked))).a0;
    expect(await version(0x1_0000)).toBe(0x1_0000);
    expect(await version(0x1_0001)).toBe(0x1_0001);
    expect(await version(0x1_0003)).toBe(0x1_0002);
    expect(await version(0x8001_0001), 'bit 31 must be zero').toBe(FfaError.notSupported);
    expect(await relayed(world, Ffa.version, 0x1_0001)).toMatchObject({ w0: 0x1_0002 });
  });

  it('returns NOT_SUPPORTED for FFA_VERSION if the partition manager answers incorrectly', async () => {
    await using world = await start({ VERSION_RESPONSE: 5 });
    expect(await world.conduit.smc(smcRegisters(Ffa.version, 0x1_0001))).toMatchObject({
      a0: FfaError.notSupported,
      a1: 0,
    });
    expect((await world.conduit.smc(smcRegisters(Ffa.idGet))).a0, 'goes on').toBe(Ffa.success);
  });

  it.each([
    ['FFA_MSG_WAIT', msgWait, FfaError.notSupported],
    ['FFA_YIELD', msgYield, FfaError.notSupported],
    ['FFA_INTERRUPT', Ffa.interrupt, FfaError.notSupported],
    ['FFA_SECONDARY_EP_REGISTER', secondaryEntry, FfaError.notSupported],
    ['FFA_CONSOLE_LOG', consoleLog, FfaError.notSupported],
    ['FFA_EL3_INTR_HANDLE', 0x8400_008c, FfaError.notSupported],
    ['FFA_MEM_PERM_GET', 0x8400_0088, FfaError.notSupported],
    ['FFA_NORMAL_WORLD_RESUME', normalWorldResume, FfaError.denied],
    ['a function in the wrong convention', 0xc400_0063, FfaError.notSupported],
    ['a function that there is not', 0x8400_00ef, FfaError.notSupported],
    ['FFA_MSG_POLL, which 1.1 has no more', 0x8400_006a, FfaError.notSupported],
  ])('refuses the normal world %s', async (_name, id, code) => {
    expect(await world.conduit.smc(smcRegisters(id, 1, 2, 3))).toEqual(smcRegisters(Ffa.error, 0, code));
  });

  it('refuses a message with a secure sender, and one to itself', async () => {
    const send = (from: number, to: number) =>
      world.conduit.smc(smcRegisters(Ffa.msgSendDirectReq, (from * 0x1_0000 + to) >>> 0, 0, Ffa.idGet));
    for (const from of [0x8000, 0x8001, 0xffff])
      expect(await send(from, partition)).toEqual(smcRegisters(Ffa.error, 0, FfaError.invalidParameters));
    expect(await send(0, 0xffff)).toEqual(smcRegisters(Ffa.error, 0, FfaError.invalidParameters));
    expect((await send(0x7fff, partition)).a0).toBe(Ffa.msgSendDirectResp);
  });

  it('supports functions of FF-A 1.2 only if the normal world uses 1.2', async () => {
    await using world = await start();
    const request2 = async (from = 0) =>
      (await world.conduit.smc(smcRegisters(0xc400_008d, from * 0x1_0000 + partition, 0, Ffa.idGet))).a0;
    expect(await request2(), 'no version agreed on').toBe(Ffa.error);
    await world.conduit.smc(smcRegisters(Ffa.version, 0x1_0001));
    expect(await request2()).toBe(Ffa.error);
    await world.conduit.smc(smcRegisters(Ffa.version, 0x1_0002));
    expect(await request2()).toBe(Ffa.msgSendDirectResp);
    expect(await request2(0x8001)).toBe(Ffa.error);
  });

  it.each([
    ['FFA_RXTX_MAP', Ffa.rxtxMap],
    ['FFA_RXTX_UNMAP', Ffa.rxtxUnmap],
    ['FFA_RX_RELEASE', Ffa.rxRelease],
    ['FFA_PARTITION_INFO_GET', Ffa.partitionInfoGet],
    ['FFA_RUN', Ffa.run],
    ['FFA_NOTIFICATION_GET', Ffa.notificationGet],
    ['FFA_NOTIFICATION_BITMAP_CREATE', Ffa.notificationBitmapCreate],
    ['FFA_CONSOLE_LOG', consoleLog],
    ['a function that there is not', 0x8400_00a0],
  ])('refuses the partition manager %s', async (_name, id) => {
    expect(await relayed(world, id)).toEqual({ w0: Ffa.error, w1: 0, w2: FfaError.notSupported, w3: 0 });
  });

  it('refuses to resume, answer or register for a partition manager that has booted', async () => {
    const denied = { w0: Ffa.error, w1: 0, w2: FfaError.denied, w3: 0 };
    expect(await relayed(world, normalWorldResume)).toEqual(denied);
    expect(await relayed(world, Ffa.msgSendDirectResp, 0x8000_ffff), 'an answer to nothing').toEqual(denied);
    expect(await relayed(world, Ffa.msgSendDirectReq, 0x8000_ffff), 'it serves nobody').toEqual(denied);
    expect(await relayed(world, secondaryEntry, 0x0e10_0000)).toEqual(denied);
    expect((await relayed(world, Ffa.features, Ffa.memShare)).w0).toBe(Ffa.success);
    expect((await relayed(world, 0x8400_0000)).w0, 'PSCI').toBe(unknown);
  });

  it.each([
    ['FFA_YIELD', msgYield],
    ['FFA_MSG_WAIT', msgWait],
    ['FFA_SUCCESS', Ffa.success],
    ['FFA_ERROR', Ffa.error],
  ])('forwards %s of the partition manager as the answer, with all eight registers', async (_name, id) => {
    const answer = await world.conduit.smc(smcRegisters(Ffa.msgSendDirectReq, partition, 0, id, 4, 5, 6, 7));
    expect(answer).toEqual(smcRegisters(id, 4, 5, 6));
    // It goes on behind that SMC, and is through with the request.
    const next = await world.conduit.smc(smcRegisters(Ffa.run, 11, 12, 13, 14));
    expect(next).toMatchObject({ a0: Ffa.msgSendDirectResp, a3: Ffa.run, a4: 11, a5: 12, a6: 13 });
  });

  it('enters secondary CPUs at the registered entry point, each with its own answer', async () => {
    await using world = await start({}, 4);
    // As many at once as there are CPUs, again and again.
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        Array.from({ length: 4 }, (_, index) =>
          world.conduit.smc(smcRegisters(Ffa.msgSendDirectReq, partition, 0, Ffa.features, index, index)),
        ),
      );
      expect(answers.map(({ a0, a4 }) => [a0, a4])).toEqual(
        [0, 1, 2, 3].map((index) => [Ffa.msgSendDirectResp, index]),
      );
    }
  });

  it('reports that the partition manager did not boot', async () => {
    await expect(start({ FIRST_WORD_LOW: Ffa.error & 0xffff })).rejects.toThrow(
      /^OP-TEE, its own FF-A partition manager, did not come up on CPU 0: FFA_NO_MEMORY at 0xe1000/,
    );
  });

  it('lists every function in the firmware exactly once', () => {
    const lines = [
      ...readFileSync(new URL('../../firmware/spmd.S', import.meta.url), 'utf8').matchAll(
        /\/\* ([0-9a-f]{2}) ?[A-Z]*/g,
      ),
    ];
    const numbers = lines.map(([, number = '']) => Number.parseInt(number, 16));
    expect(numbers).toEqual(Array.from({ length: 0x8f - 0x60 }, (_, index) => 0x60 + index));
  });
});

describe.skipIf(whyNot !== undefined)('an OP-TEE that is no partition manager', () => {
  it('has no FF-A', async () => {
    await using world = await startWorld();
    expect(world.abi).toBe('smc');
    for (const id of [Ffa.version, Ffa.idGet, Ffa.msgSendDirectReq])
      expect((await world.conduit.smc(smcRegisters(id, 0x1_0001))).a0).toBe(unknown);
    expect((await world.conduit.smc(smcRegisters(OpteeSmc.getThreadCount))).a0).toBe(0);
  });
});
