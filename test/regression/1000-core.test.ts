import { describe, expect, it } from 'vitest';
import { TeeOrigin, TeeResult, temporary, value } from '../../src/index.js';
import { happened } from '../support/happened.js';
import { InvokeTestsCommand, invokeTests, OsTestCommand, osTest } from '../support/optee-test-applications.js';
import { named, onRealOptee, whyNot, without } from '../worlds/qemu/real-optee.js';
import { realTee } from './real-tee.js';

describe.skipIf(whyNot !== undefined)(onRealOptee('regression group 1000: the core and its libraries'), () => {
  const real = realTee();

  it.each([
    ['1001: the pseudo-TA of the tests says hello', InvokeTestsCommand.trace],
    ["1001: the core's own tests", InvokeTestsCommand.selfTests],
    ['1001: the device-tree drivers of the core', InvokeTestsCommand.dtDriver],
  ])('%s', async (_name, command) => {
    await using session = await real.context.openSession(invokeTests);
    await session.invoke(command);
  });

  const noFiles = without('CFG_REE_FS');
  it.skipIf(noFiles !== undefined)(named('1015: the file system hash tree', noFiles), async () => {
    await using session = await real.context.openSession(invokeTests);
    await session.invoke(InvokeTestsCommand.fsHtree);
  });

  it('1002: parameters of a pseudo-TA: 16 KiB, their sum in the first byte', async () => {
    await using session = await real.context.openSession(invokeTests);
    const bytes = Uint8Array.from({ length: 16 * 1024 }, (_, index) => index + 1);
    const expected = Uint8Array.from(bytes);
    expected[0] = bytes.reduce((sum, byte) => sum + byte, 0);
    expect(await session.invoke(InvokeTestsCommand.params, [temporary.inout(bytes)])).toEqual([expected]);
  });

  it('1002: parameters of a pseudo-TA: three values and their sums, wherever the output stands', async () => {
    await using session = await real.context.openSession(invokeTests);
    const [first, second, third] = [value.input(1, 10), value.input(2, 20), value.input(0xffff_ffff, 30)] as const;
    const sums = { a: 2, b: 60 };
    const { params } = InvokeTestsCommand;
    const none = undefined;
    expect(await session.invoke(params, [value.output(), first, second, third])).toEqual([sums, none, none, none]);
    expect(await session.invoke(params, [first, second, value.output(), third])).toEqual([none, none, sums, none]);
    expect(await session.invoke(params, [first, second, third, value.output()])).toEqual([none, none, none, sums]);
  });

  it('1003: the mutex test: writers exclude all others, readers do not', async () => {
    const [writer, reader] = [0, 1];
    const run = async (kind: number) => {
      await using session = await real.context.openSession(invokeTests);
      for (let repeat = 0; repeat < 5; repeat++) {
        const [, { b: inside }] = await session.invoke(InvokeTestsCommand.mutex, [
          value.input(kind, 1000),
          value.output(),
        ]);
        if (kind === writer) expect(inside, 'writers inside the lock').toBe(1);
        else expect([1, 2], 'readers inside the lock, on two threads').toContain(inside);
      }
    };
    await Promise.all([writer, reader, reader, writer, reader, reader].map(run));
  });

  it('1006: the GlobalPlatform core API, as os_test sees it', async () => {
    await using session = await real.context.openSession(osTest);
    await session.invoke(OsTestCommand.basic, [temporary.input(new Uint8Array(32).fill(0xab))]);
  });

  it('1009: TEE_Wait takes its time', async () => {
    await using session = await real.context.openSession(osTest);
    const start = performance.now();
    await session.invoke(OsTestCommand.wait, [value.input(40)]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(39);
  });

  it('1009: TEE_Wait ends when it is cancelled', async () => {
    await using session = await real.context.openSession(osTest);
    const cancel = new AbortController();
    const suspended = happened(real.tee, ({ type }) => type === 'rpc-begin');
    const waiting = session.invoke(OsTestCommand.wait, [value.input(40)], { signal: cancel.signal });
    await suspended;
    cancel.abort();
    await expect(waiting).rejects.toMatchObject({ code: TeeResult.ERROR_CANCEL, origin: TeeOrigin.TRUSTED_APP });
  });

  it('1019: a shared library', async () => {
    await using session = await real.context.openSession(osTest);
    await session.invoke(OsTestCommand.callLib);
  });

  it('1020: the lock checker, which this build of OP-TEE is without (CFG_LOCKDEP)', async () => {
    await using session = await real.context.openSession(invokeTests);
    await expect(session.invoke(InvokeTestsCommand.lockdep)).rejects.toMatchObject({
      code: TeeResult.ERROR_NOT_SUPPORTED,
      origin: TeeOrigin.TRUSTED_APP,
    });
  });

  it('1022, 1023: a library is loaded at run time, and what it initialises comes last', async () => {
    await using session = await real.context.openSession(osTest);
    const initialised = async () => (await session.invoke(OsTestCommand.getGlobalVar, [value.output()]))[0].a;
    // Each initialiser appends its digit: the linked library 2, the TA 1, the loaded library 3.
    expect(await initialised()).toBe(21);
    await session.invoke(OsTestCommand.callLibDl);
    expect(await initialised()).toBe(213);
  });

  it.each([
    ['1030: program headers', OsTestCommand.dlPhdr],
    ['1030: program headers of a library loaded at run time', OsTestCommand.dlPhdrDl],
  ])('%s', async (_name, command) => {
    await using session = await real.context.openSession(osTest);
    await session.invoke(command);
  });
});
