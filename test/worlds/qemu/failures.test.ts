import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTee, TeeResult, temporary } from '../../../src/index.js';
import { ConduitError, smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { SimsCommand, sims } from '../../regression/sims.js';
import { teeUuid } from '../../support/optee-test-applications.js';
import { folder, onRealOptee, startWorld, whyNot } from './real-optee.js';

const shipped = new URL('../../../firmware/normalworld.bin', import.meta.url);
/** ubfx w16, w0, #24, #6: on the way of every call, its owner. */
const ownerCheck = 0x5318_7410;
/** b . */
const branchToItself = 0x1400_0000;
const threadCount = smcRegisters(OpteeSmc.getThreadCount);

describe.skipIf(whyNot !== undefined)(onRealOptee('a QEMU world that fails'), () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'normalworld-'));
  });
  afterAll(async () => {
    await rm(scratch, { recursive: true });
  });

  /** The shipped firmware with one instruction, found by its encoding, replaced by another. */
  async function patched(instruction: number, by: number): Promise<string> {
    const image = await readFile(shipped);
    const encoded = Buffer.alloc(4);
    encoded.writeUInt32LE(instruction);
    const at = image.indexOf(encoded);
    expect(at).toBeGreaterThan(0);
    image.writeUInt32LE(by, at);
    const path = join(scratch, `${by.toString(16)}.bin`);
    await writeFile(path, image);
    return path;
  }

  it('describes a fatal exception of the firmware', async () => {
    await using world = await startWorld({ firmware: await patched(ownerCheck, 0) });
    const failed = world.conduit.smc(threadCount);
    await expect(failed).rejects.toThrow(
      /^fatal exception on CPU 0 in the EL3 firmware: synchronous exception from the same level at ELR 0x[0-9a-f]+, ESR 0x2000000 \(unknown or undefined instruction\), FAR 0x/,
    );
    await expect(failed).rejects.toBeInstanceOf(ConduitError);
    await expect(world.conduit.smc(threadCount), 'every later call').rejects.toThrow(/EL3 firmware/);
  });

  it('reports that QEMU died, with the tail of the secure console', async () => {
    await using world = await startWorld();
    expect(await world.conduit.smc(threadCount)).toMatchObject({ a0: 0 });
    process.kill(world.pid ?? 0, 'SIGKILL');
    let failure: unknown;
    // The signal takes its time: until it has arrived, calls are answered or end with the error.
    while (failure === undefined)
      failure = await (async () => world.conduit.smc(threadCount))().then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(failure).toBeInstanceOf(ConduitError);
    expect(String(failure)).toMatch(/QEMU was ended by SIGKILL.*secure console ends with:.*Primary CPU switching/s);
  });

  it('reports why QEMU did not start', async () => {
    await expect(startWorld({ qemu: '/does/not/exist' })).rejects.toThrow(
      /QEMU exited with code 127: .*does\/not\/exist/,
    );
    await expect(startWorld({ firmware: '/no/firmware' })).rejects.toThrow(/QEMU exited with code 1: .*no\/firmware/);
  });

  it('reports that there are too few free descriptors, however few, and leaks none', { timeout: 120_000 }, () => {
    const script = fileURLToPath(new URL('open-with-few-descriptors.js', import.meta.url));
    const limited = ['-c', 'ulimit -n 512; exec "$0" "$@"', process.execPath, script];
    const { status, stdout, stderr } = spawnSync('sh', limited, { encoding: 'utf8' });
    expect(`${status} ${stderr}`).toBe('0 ');
    const outcomes = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(outcomes.filter(({ leaked }) => leaked !== 0)).toEqual([]);
    expect(outcomes.pop()).toMatchObject({ opened: true });
    expect(outcomes.length).toBeGreaterThan(5);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({
        code: 'EMFILE',
        message: expect.stringMatching(
          /^(memfd_create|pipe2|setpriv could not be started): EMFILE, too many open files$/,
        ),
      });
  });

  it('ends a boot that does not complete', async () => {
    const endless = join(scratch, 'endless.bin');
    // It goes on: add x0, x0, #1; b to it.
    await writeFile(endless, program(0x9100_0400, 0x17ff_ffff));
    await expect(startWorld({ optee: endless, bootLimitMs: 1500 })).rejects.toThrow(
      /^OP-TEE did not boot within 1500 ms\nThe image: its first instruction is 0x91000400, no OP-TEE begins like this: /,
    );
  });

  it.each([
    ['runs in a circle', branchToItself],
    // wfi; b to it
    ['sleeps', 0xd503_207f, 0x17ff_ffff],
  ])('reports that a boot that %s makes no progress, and where', async (_name, ...instructions) => {
    const optee = join(scratch, 'still.bin');
    await writeFile(optee, program(...(instructions as number[])));
    await expect(startWorld({ optee })).rejects.toThrow(/^OP-TEE did not boot, it makes no progress at 0xe10000[04]: /);
  });

  it('reports that a truncated image makes no progress', async () => {
    const optee = join(scratch, 'cut.bin');
    await writeFile(optee, (await readFile(folder.image)).subarray(0, 100_000));
    await expect(startWorld({ optee })).rejects.toThrow(/it makes no progress at 0x.*\n.*may be truncated/);
  });

  it.each<[string, () => Buffer, RegExp]>([
    ['an undefined instruction', () => program(0), /synchronous exception .*at ELR 0xe100000, .*undefined instruction/],
    // ldr x0, [x1] with x1 = 0x2_0000_0000, where nothing is.
    ['code that touches what is not there', () => program(0xd2c0_0041, 0xf940_0020), /at ELR 0xe100004, .*data abort/],
    ['code that jumps to nowhere', () => program(0xd2c0_0041, 0xd61f_0020), /instruction abort.*FAR 0x200000000/],
  ])('reports at once that an image of %s traps before it has vectors', async (name, image, why) => {
    const optee = join(scratch, `${name}.bin`);
    await writeFile(optee, image());
    const failed = startWorld({ optee });
    await expect(failed).rejects.toThrow('not an OP-TEE for this machine');
    await expect(failed).rejects.toThrow(why);
  });

  it('ends with a call that does not return within its limit', async () => {
    const firmware = await patched(ownerCheck, branchToItself);
    await using world = await startWorld({ firmware, callLimitMs: 100 });
    await expect(world.conduit.smc(threadCount)).rejects.toThrow(
      'SMC GET_THREAD_COUNT on CPU 0 did not return from secure world within 100 ms',
    );
  });

  it('ends with a fast call that does not return, whatever the time limit of calls', async () => {
    const firmware = await patched(ownerCheck, branchToItself);
    const failed = openTee({ world: 'qemu', qemu: { firmware, bootLimitMs: 2000 } });
    await expect(failed).rejects.toThrow('SMC CALLS_UID on CPU 0 did not return from secure world within 2000 ms');
  });

  it('reports that OP-TEE panicked, with its whole message', async () => {
    const optee = join(scratch, 'panicking.bin');
    await writeFile(
      optee,
      printer("E/TC:0 0 Panic 'no memory' at core/mm/x.c:12 <boot>\nE/TC:0 0 Call stack:\nE/TC:0 0  0x1\n"),
    );
    await expect(startWorld({ optee })).rejects.toThrow(/^OP-TEE panicked\n.*Panic 'no memory'.*Call stack:\n.* 0x1$/s);
  });

  it('refuses invalid options', async () => {
    await expect(startWorld({ cpus: 5 })).rejects.toThrow('cpus is 5; allowed: integers 1..4');
    await expect(startWorld({ memoryMiB: 1 })).rejects.toThrow('memoryMiB is 1; allowed: integers 64..3072');
    const empty = join(scratch, 'empty.bin');
    await writeFile(empty, '');
    await expect(startWorld({ optee: empty })).rejects.toThrow('the OP-TEE image is empty');
  });

  it('reports that OP-TEE panicked, with the tail of its console', async () => {
    // A single-instance TA that opens a session with itself: OP-TEE 4.5.0 fails an assertion about who is busy.
    const tee = await openTee({ world: await startWorld(), taFolders: [folder.trustedApplications] });
    const session = await tee.openContext().openSession(sims);
    const panicked = session.invoke(SimsCommand.openTaSession, [temporary.input(teeUuid(sims))]);
    await expect(panicked).rejects.toEqual(
      expect.objectContaining({
        code: TeeResult.ERROR_COMMUNICATION,
        message: expect.stringMatching(/OP-TEE panicked.*secure console ends with:.*Panic.*tee_ta_set_busy/s),
      }),
    );
    expect(inspect(await panicked.catch((error: unknown) => error)).match(/Panic at/g)).toHaveLength(1);
    await expect(tee.close()).rejects.toEqual(expect.objectContaining({ code: TeeResult.ERROR_COMMUNICATION }));
  });

  it('rejects the calls in secure world when it is closed', async () => {
    const world = await startWorld();
    const calls = Array.from({ length: 10 }, () => (async () => world.conduit.smc(threadCount))());
    const settled = Promise.allSettled(calls);
    await world[Symbol.asyncDispose]();
    for (const result of await settled)
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ConduitError);
    await expect(world.conduit.smc(threadCount)).rejects.toThrow('the world was closed');
  });
});

function words(...instructions: readonly number[]): Buffer {
  const code = Buffer.alloc(4 * instructions.length);
  for (const [index, instruction] of instructions.entries()) code.writeUInt32LE(instruction, 4 * index);
  return code;
}

/** Code as large as an OP-TEE: what follows is never run. */
function program(...instructions: readonly number[]): Buffer {
  return Buffer.concat([words(...instructions), Buffer.alloc(100_000, 7)]);
}

/** A program at S-EL1 that prints a text on the secure console and then stands still. */
function printer(text: string): Buffer {
  const code = words(
    0x1000_00c0, // adr  x0, text
    0xd2a1_2081, // mov  x1, #0x09040000
    0x3840_1402, // ldrb w2, [x0], #1
    0x3400_0002, // cbz  w2, .
    0xb900_0022, // str  w2, [x1]
    0x17ff_fffd, // b    the ldrb
  );
  return Buffer.concat([code, Buffer.from(`${text}\0`), Buffer.alloc(100_000, 7)]);
}
