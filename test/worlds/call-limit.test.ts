import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Context, type OpenTeeOptions, openTee, type Tee, temporary, value } from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { QemuWorld } from '../../src/worlds/qemu/qemu-world.js';
import { Door } from '../support/door.js';
import { OsTestCommand, opteeTestApplications, osTest } from '../support/optee-test-applications.js';
import { folder, whyNot } from './qemu/real-optee.js';

const timeout = expect.objectContaining({ code: TeeResult.ERROR_TIMEOUT, origin: TeeOrigin.COMMS });
const anHourMs = 3_600_000;

const worlds: Record<string, { readonly options: OpenTeeOptions; readonly whyNot: string | undefined }> = {
  'the simulated world': { options: { trustedApplications: opteeTestApplications }, whyNot: undefined },
  'real OP-TEE': { options: { world: 'qemu', taFolders: [folder.trustedApplications] }, whyNot },
};

for (const [name, world] of Object.entries(worlds)) {
  const why = world.whyNot === undefined ? '' : ` (skipped: ${world.whyNot})`;
  describe.skipIf(world.whyNot !== undefined)(`the time limit of a call, on ${name}${why}`, () => {
    let tee: Tee;
    let context: Context;
    let door: Door;

    const open = async (options: OpenTeeOptions = {}) => {
      door = new Door();
      tee = await openTee({
        ...world.options,
        ...options,
        supplicant: {
          taStores: [
            {
              // Not the library of the test applications, nor those of the simulated world.
              load: async (uuid) => {
                if (uuid === osTest) await door.pass();
                return undefined;
              },
            },
          ],
        },
      });
      context = tee.openContext();
    };

    beforeEach(() => open());
    afterEach(() => tee.close({ graceMs: 0 }));

    it('expires even if each world switch returns in time', async () => {
      const session = await context.openSession(osTest);
      const late = session.invoke(OsTestCommand.wait, [value.input(anHourMs)], { limitMs: 300 });
      await expect(late).rejects.toEqual(timeout);
      await expect(late).rejects.toThrow(
        /invoking command \d+ of .*: it did not return within 300 ms \(.*: its invoke of \S+ (?:waits for the end of a sleep of \d+ ms|is in secure world)\)/,
      );
    });

    it('does not affect other calls or the end of its client', async () => {
      const session = await context.openSession(osTest);
      await expect(session.invoke(OsTestCommand.wait, [value.input(anHourMs)], { limitMs: 100 })).rejects.toEqual(
        timeout,
      );
      expect(context.hasOverdueCalls).toBe(true);
      const other = tee.openContext();
      const theirs = await other.openSession(osTest);
      await theirs.invoke(OsTestCommand.wait, [value.input(1)]);
      await theirs.close();
      await other.close();
      await session.close();
      await context.close();
      await tee.close();
    });

    it('may expire while the application is loaded', async () => {
      door.shut();
      await expect(context.openSession(osTest, { limitMs: 200 })).rejects.toEqual(timeout);
      door.open();
      // It came after all, and was closed: nothing of it is left.
      while (context.hasOverdueCalls) await new Promise((resolve) => setImmediate(resolve));
      await context.close();
    });

    it('releases the resources of an overdue call when it returns', async () => {
      const warm = tee.openContext();
      await (await warm.openSession(osTest)).invoke(OsTestCommand.wait, [value.input(1)]);
      await warm.close();
      const before = tee.sharedMemoryInUse;
      const session = await context.openSession(osTest);
      const late = session.invoke(
        OsTestCommand.wait,
        [value.input(400), temporary.input(new Uint8Array(10_000))] as const,
        { limitMs: 50 },
      );
      await expect(late).rejects.toEqual(timeout);
      expect(tee.sharedMemoryInUse).toBeGreaterThan(before);
      while (context.hasOverdueCalls) await new Promise((resolve) => setImmediate(resolve));
      await context.kill();
      expect(tee.sharedMemoryInUse).toBe(before);
    });

    it("is the TEE's default if the call has none", async () => {
      await tee.close();
      await open({ callLimitMs: 2000 });
      const session = await context.openSession(osTest);
      const forEver = session.invoke(OsTestCommand.wait, [value.input(2500)], { limitMs: Number.POSITIVE_INFINITY });
      await forEver;
      const late = session.invoke(OsTestCommand.wait, [value.input(anHourMs)]);
      await expect(late).rejects.toThrow('it did not return within 2000 ms');
    });

    it('may be arbitrarily long', async () => {
      const session = await context.openSession(osTest, { limitMs: 2 ** 40 });
      for (const limitMs of [2 ** 31, 2 ** 32, Number.MAX_VALUE])
        await session.invoke(OsTestCommand.wait, [value.input(5)], { limitMs });
    });

    it.each([-1, Number.NaN, '5', null])('is refused when it is %s', async (limitMs) => {
      const options = { limitMs: limitMs as number };
      await expect(context.openSession(osTest, options)).rejects.toThrow(/limitMs is .*; allowed: milliseconds from 0/);
      const session = await context.openSession(osTest);
      await expect(session.invoke(OsTestCommand.wait, [value.input(1)], options)).rejects.toEqual(
        expect.objectContaining({ code: TeeResult.ERROR_BAD_PARAMETERS, origin: TeeOrigin.API }),
      );
      await expect(openTee({ callLimitMs: limitMs as number })).rejects.toThrow('callLimitMs');
    });
  });
}

describe.each(['smc', 'ffa'] as const)('a call that waits for a thread, over %s', (abi) => {
  it('is listed, with the calls that have the threads, and so is its client when it is late', async () => {
    await using tee = await openTee({
      trustedApplications: opteeTestApplications,
      simulated: { abi, threads: 2 },
    });
    const holders = await Promise.all(
      ['first', 'second'].map((label) => tee.openContext({ label }).openSession(osTest)),
    );
    const third = await tee.openContext({ label: 'third' }).openSession(osTest);
    for (const session of holders) session.invoke(OsTestCommand.wait, [value.input(anHourMs)]).catch(() => undefined);
    const late = third.invoke(OsTestCommand.wait, [value.input(1)], { limitMs: 50 });
    const invoke = `invoke of ${osTest}`;
    const taken = `a thread of secure world (in use by: first's ${invoke}, second's ${invoke})`;
    expect(tee.waiting()).toMatchObject({
      calls: [
        { context: 'first', application: osTest },
        { context: 'second', application: osTest },
      ],
      inside: [],
      queued: [{ context: 'third', purpose: 'invoke', application: osTest, waitsFor: taken }],
    });
    await expect(late).rejects.toThrow(`within 50 ms (third: its ${invoke} waits for ${taken}; first: its ${invoke} `);
    await tee.close({ force: true });
  });
});

describe.skipIf(whyNot !== undefined)('the end of a TEE whose QEMU does not answer', () => {
  it('comes in bounded time, and reports which calls did not return', async () => {
    const world = await QemuWorld.start({ optee: folder.image, cpus: 1 });
    const tee = await openTee({ world, taFolders: [folder.trustedApplications] });
    const session = await tee.openContext({ label: 'first' }).openSession(osTest);
    const another = await tee.openContext({ label: 'second' }).openSession(osTest);
    process.kill(world.pid ?? 0, 'SIGSTOP');
    const stuck = expect(session.invoke(OsTestCommand.wait, [value.input(1)])).rejects.toEqual(
      expect.objectContaining({ code: TeeResult.ERROR_COMMUNICATION }),
    );
    const late = another.invoke(OsTestCommand.wait, [value.input(1)]);
    late.catch(() => undefined);
    expect(tee.waiting()).toMatchObject({
      inside: [{ context: 'first' }],
      queued: [{ context: 'second', waitsFor: `a processor (in use by: first's invoke of ${osTest})` }],
    });
    expect(await tee.close({ graceMs: 200 })).not.toEqual([]);
    await stuck;
    // Whoever closes it knows why, and needs no console.
    await expect(late).rejects.toThrow(/^invoke: the world was closed: TEEC_ERROR_COMMUNICATION/);
  });
});
