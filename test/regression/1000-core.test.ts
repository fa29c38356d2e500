import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Context, type Tee, temporary, value } from '../../src/index.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { InvokeTestsCommand, invokeTests, OsTestCommand, osTest } from '../support/optee-test-applications.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';
import { openRealTee } from './real-tee.js';

/** ta/sims: one instance that keeps counters for all its sessions. */
const sims = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';
/** ta/concurrent: busy in each of its instances at the same time. */
const concurrent = 'e13010e0-2ae1-11e5-896a-0002a5d5c51b';

const code = (name: keyof typeof TeeResult) => expect.objectContaining({ code: TeeResult[name] });

describe.skipIf(whyNot !== undefined)(onRealOptee('regression group 1000: the core'), () => {
  let tee: Tee;
  let context: Context;
  beforeAll(async () => {
    tee = await openRealTee();
    context = tee.openContext();
  });
  afterAll(async () => {
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it("1001: the core's own tests", async () => {
    await using session = await context.openSession(invokeTests);
    await session.invoke(InvokeTestsCommand.trace);
    await session.invoke(InvokeTestsCommand.selfTests);
    // This build of OP-TEE is without (CFG_LOCKDEP).
    await expect(session.invoke(InvokeTestsCommand.lockdep)).rejects.toEqual(code('ERROR_NOT_SUPPORTED'));
  });

  it('1003: the mutex test: writers exclude each other, readers do not', async () => {
    const writer = 0;
    const reader = 1;
    const run = async (kind: number) => {
      await using session = await context.openSession(invokeTests);
      const [, during] = await session.invoke(InvokeTestsCommand.mutex, [value.input(kind, 20), value.output()]);
      return during.b;
    };
    for (const others of await Promise.all([run(writer), run(writer), run(writer)]))
      expect(others, 'inside the lock at once').toBe(1);
    for (const others of await Promise.all([run(reader), run(reader), run(reader)]))
      expect(others).toBeGreaterThanOrEqual(1);
  });

  it('1006: the GlobalPlatform core API, as os_test sees it', async () => {
    await using session = await context.openSession(osTest);
    await session.invoke(OsTestCommand.basic, [temporary.input(new Uint8Array(32).fill(0xab))]);
  });

  it.each([1, 2, 3, 4, 5])(
    '1008: access %i to memory that is not its own kills os_test, and nothing else',
    async (kind) => {
      const badMemoryAccess = 10;
      const session = await context.openSession(osTest);
      await expect(session.invoke(badMemoryAccess, [value.input(kind)])).rejects.toEqual(code('ERROR_TARGET_DEAD'));
      await session.close();
      await using after = await context.openSession(osTest);
      expect(await after.invoke(OsTestCommand.getGlobalVar, [value.output()])).toEqual([{ a: 21, b: 0 }]);
    },
  );

  it('1009: TEE_Wait takes its time', async () => {
    await using session = await context.openSession(osTest);
    const start = performance.now();
    await session.invoke(OsTestCommand.wait, [value.input(40)]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(39);
  });

  it('1012: a single-instance, multi-session TA keeps its state over its sessions', async () => {
    await using first = await context.openSession(sims);
    await using second = await context.openSession(sims);
    const bytes = Uint8Array.from([1, 2, 3, 4]);
    // SIMS: command 2 keeps the memref under the number value[0].a, command 1 reads it.
    const [read, write] = [1, 2];
    await first.invoke(write, [value.input(0), temporary.input(bytes)]);
    const [, kept] = await second.invoke(read, [value.input(0), temporary.output(4)]);
    expect(kept).toEqual(bytes);
  });

  it('1013: four sessions of a TA that computes, over two threads', async () => {
    const sessions = await Promise.all(Array.from({ length: 4 }, () => context.openSession(concurrent)));
    for (const session of sessions) await session.close();
  });

  it('1015: the file system hash tree', async () => {
    await using session = await context.openSession(invokeTests);
    await session.invoke(InvokeTestsCommand.fsHtree);
  });

  it('1019: a shared library, and a panic in it', async () => {
    const session = await context.openSession(osTest);
    await session.invoke(OsTestCommand.callLib);
    await expect(session.invoke(OsTestCommand.callLibPanic)).rejects.toEqual(code('ERROR_TARGET_DEAD'));
    await session.close();
  });

  it.each([
    ['1022: a library loaded at run time', 16],
    ['1025: TA to TA with memory references', 11],
    ['1008: a TA as the client of another', 7],
    ['1027: program headers', 23],
    ['1027: program headers of a library loaded at run time', 24],
  ])('%s', async (_name, command) => {
    await using session = await context.openSession(osTest);
    await session.invoke(command);
  });
});
