import { describe, expect, it } from 'vitest';
import { memref, type Session, type TeecError, TeeOrigin, TeeResult, temporary, value } from '../../src/index.js';
import { OsTestCommand, osTest } from '../support/optee-test-applications.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';
import { realTee } from './real-tee.js';
import { miss, SimsCommand, sims, simsKeepAlive } from './sims.js';

const dead = expect.objectContaining({ code: TeeResult.ERROR_TARGET_DEAD, origin: TeeOrigin.TEE });

describe.skipIf(whyNot !== undefined)(onRealOptee('regression group 1000: panics'), () => {
  const real = realTee();

  it.each([
    ['1007: a panic', OsTestCommand.panic],
    ['1019: a panic in a shared library', OsTestCommand.callLibPanic],
    ['1022: a panic in a library loaded at run time', OsTestCommand.callLibDlPanic],
  ])('%s kills the TA for all further calls of the session, and nothing else', async (_name, command) => {
    await using other = await real.context.openSession(osTest);
    await using session = await real.context.openSession(osTest);
    const panicked = session.invoke(command);
    await expect(panicked).rejects.toEqual(dead);
    // With the code and the call stack. The console's report has arrived when the call is back.
    await expect(panicked).rejects.toThrow(
      / \(the application panicked with code 0x[0-9a-f]+\): TEEC_ERROR_TARGET_DEAD \(0xffff3024, origin TEE\)\ncall stack \(functions and lines: from <uuid>\.elf beside <uuid>\.ta\):(\n {2}0x[0-9a-f]+ [0-9a-f-]{36}\+0x[0-9a-f]+)+$/,
    );
    const panic = await panicked.then(
      () => undefined,
      (error: TeecError) => error.panic,
    );
    expect(panic?.console?.[0]).toContain('TA panicked with code');
    expect(panic?.console).toContainEqual(expect.stringContaining('Status of TA'));
    await expect(session.invoke(OsTestCommand.init)).rejects.toEqual(dead);
    await isAlive(other);
  });

  // Writes through null and to no memory, jumps to both, an undefined instruction, reads and writes of no bytes.
  const accesses = [1, 2, 3, 4, 5, 6, 7];

  it.each(accesses)('1010: access %i to memory that is not its own kills os_test, and nothing else', async (access) => {
    const session = await real.context.openSession(osTest);
    for (const _time of ['first', 'second'])
      await expect(session.invoke(OsTestCommand.badMemAccess, [value.input(access)])).rejects.toEqual(dead);
    await session.close();
    await using after = await real.context.openSession(osTest);
    await isAlive(after);
  });

  it.each([1024, 65_536])('1010: the same with %i bytes of the client, which are not lost', async (size) => {
    // The first call takes memory for messages, which is kept.
    await (await real.context.openSession(osTest)).close();
    const before = real.tee.sharedMemoryInUse;
    for (const access of accesses.slice(0, 5)) {
      await using memory = await real.context.allocateSharedMemory(size);
      await using session = await real.context.openSession(osTest);
      const parameters = [value.input(access), memref.inout(memory)] as const;
      for (const _time of ['first', 'second'])
        await expect(session.invoke(OsTestCommand.badMemAccess, parameters)).rejects.toEqual(dead);
    }
    expect(real.tee.sharedMemoryInUse).toBe(before);
  });

  const counter = async (session: Session) => (await session.invoke(SimsCommand.getCounter, [value.output()]))[0].a;
  const panic = (session: Session) => session.invoke(SimsCommand.panic, [temporary.input(null)]);

  it('1021: of instances with a session each, only the one that panicked is dead', async () => {
    await using first = await real.context.openSession(miss);
    await using second = await real.context.openSession(miss);
    await expect(panic(second)).rejects.toEqual(dead);
    await expect(counter(second)).rejects.toEqual(dead);
    expect(await counter(first)).toBe(0);
    await using third = await real.context.openSession(miss);
    expect(await counter(third)).toBe(0);
    expect(await counter(first)).toBe(0);
  });

  it.each([
    ['sims', sims],
    ['sims_keepalive', simsKeepAlive],
  ])('1021: %s is dead for all its sessions, and a new one has a new instance', async (_name, uuid) => {
    await using first = await real.context.openSession(uuid);
    await using second = await real.context.openSession(uuid);
    expect([await counter(first), await counter(second)]).toEqual([0, 1]);
    await expect(panic(second)).rejects.toEqual(dead);
    await expect(counter(first)).rejects.toEqual(dead);
    await expect(counter(second)).rejects.toEqual(dead);
    await using third = await real.context.openSession(uuid);
    await using fourth = await real.context.openSession(uuid);
    expect([await counter(third), await counter(fourth)]).toEqual([0, 1]);
    await expect(panic(third)).rejects.toEqual(dead);
  });
});

/** os_test answers: its own initialiser and its library's have run, and nothing else. */
async function isAlive(session: Session): Promise<void> {
  expect(await session.invoke(OsTestCommand.getGlobalVar, [value.output()])).toEqual([{ a: 21, b: 0 }]);
}
