import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memref, type Session, type TeecError, TeeOrigin, TeeResult, temporary, value } from '../../src/index.js';
import { OsTestCommand, osTest, teeUuid } from '../support/optee-test-applications.js';
import { folder, named, onRealOptee, whyNot, without } from '../worlds/qemu/real-optee.js';
import { realTee } from './real-tee.js';
import { SimsCommand, sims, simsKeepAlive } from './sims.js';

/** ta/create_fail_test: no instance of it comes to be. */
const createFails = 'c3f6e2c0-3548-11e1-b86c-0800200c9a66';
/** Installs TAs in secure storage: lib/libutee/include/pta_secstor_ta_mgmt.h of OP-TEE/optee_os. */
const taManagement = '6e256cba-fc4d-4941-ad09-2ca1860342dd';
const bootstrap = 0;

const codeOf = (error: unknown) => (error as TeecError).code;
const dead = expect.objectContaining({ code: TeeResult.ERROR_TARGET_DEAD, origin: TeeOrigin.TEE });

describe.skipIf(whyNot !== undefined)(onRealOptee('regression group 1000: TAs as clients of TAs'), () => {
  const real = realTee();

  it('1008: os_test lets the crypt TA hash', async () => {
    await using session = await real.context.openSession(osTest);
    await session.invoke(OsTestCommand.client);
  });

  // A whole second, as xtest has it: with fewer milliseconds the timeout of OP-TEE can be a second late (the next test).
  it('1008: os_test cancels a wait of another os_test by its timeout', async () => {
    await using session = await real.context.openSession(osTest);
    await session.invoke(OsTestCommand.clientWithTimeout, [value.input(2000)]);
  });

  // os_test waits for twice the timeout, 1,200 ms, and fails when the wait ended before the cancellation came.
  it('a timeout that passes a full second of the system time cancels a second too late', async () => {
    await using session = await real.context.openSession(osTest);
    const call = async () => session.invoke(OsTestCommand.clientWithTimeout, [value.input(1200)]).then(() => 0, codeOf);
    // A call that begins in the first 400 ms of a second does not pass the next one; the call after it does, or the third.
    expect((await call()) || (await call()) || (await call())).toBe(TeeResult.ERROR_GENERIC);
  });

  it('1008: a TA whose instance cannot be made says why, to a client and to a TA', async () => {
    const refused = { code: TeeResult.ERROR_GENERIC, origin: TeeOrigin.TRUSTED_APP };
    for (let time = 0; time < 20; time++)
      await expect(real.context.openSession(createFails)).rejects.toMatchObject(refused);
    await using session = await real.context.openSession(sims);
    await expect(openFrom(session, createFails)).rejects.toMatchObject(refused);
    expect(await counter(session)).toBe(0);
  });

  it('1008: a TA that is missing, the TA that wanted it tells its client', async () => {
    await using session = await real.context.openSession(sims);
    await expect(openFrom(session, '01234567-89ab-cdef-0123-456789abcdef')).rejects.toMatchObject({
      code: TeeResult.ERROR_ITEM_NOT_FOUND,
      origin: TeeOrigin.TRUSTED_APP,
    });
    expect(await counter(session)).toBe(0);
  });

  const notInstalled = without('CFG_SECSTOR_TA_MGMT_PTA');
  it.skipIf(notInstalled !== undefined)(
    named('1008: an image with a bit that is wrong, wherever, is not installed; the right one is', notInstalled),
    async () => {
      await using session = await real.context.openSession(taManagement);
      const image = await readFile(join(folder.trustedApplications, `${createFails}.ta`));
      const header = {
        magic: 0,
        type: 4,
        size: 8,
        algorithm: 12,
        hashSize: 16,
        signatureSize: 18,
        hash: 20,
        signature: 52,
      };
      for (const [name, offset] of Object.entries({ ...header, early: 3000, late: image.length - 1 })) {
        const wrong = Uint8Array.from(image);
        wrong[offset] = image.readUInt8(offset) ^ 1;
        await expect(session.invoke(bootstrap, [temporary.input(wrong)]), name).rejects.toMatchObject({
          code: TeeResult.ERROR_SECURITY,
          origin: TeeOrigin.TRUSTED_APP,
        });
      }
      await session.invoke(bootstrap, [temporary.input(image)]);
    },
  );

  it('1016: memory on the stack of one TA is the parameter of another', async () => {
    await using session = await real.context.openSession(osTest);
    await session.invoke(OsTestCommand.ta2taMemref);
  });

  it('1016: memory references of no bytes are handed on', async () => {
    await using session = await real.context.openSession(osTest);
    await using memory = await real.context.allocateSharedMemory(4096);
    const nothing = { offset: 0, size: 0 };
    await session.invoke(OsTestCommand.ta2taMemrefSize0, [
      memref.input(memory, nothing),
      memref.inout(memory, nothing),
      memref.output(memory, nothing),
    ]);
    const empty = new Uint8Array(0);
    await session.invoke(OsTestCommand.ta2taMemrefSize0, [
      temporary.input(empty),
      temporary.inout(empty),
      temporary.output(empty),
    ]);
  });

  it('1021: a TA outlives the one that it has a session with', async () => {
    await using first = await real.context.openSession(sims);
    await using second = await real.context.openSession(simsKeepAlive);
    await openFrom(first, simsKeepAlive);
    await expect(second.invoke(SimsCommand.panic, [temporary.input(null)])).rejects.toEqual(dead);
    expect(await counter(first)).toBe(1);
    await expect(counter(second)).rejects.toEqual(dead);
  });

  it('1008, 1021: a TA outlives the one that panics at its command', async () => {
    await using first = await real.context.openSession(sims);
    await using second = await real.context.openSession(simsKeepAlive);
    await first.invoke(SimsCommand.panic, [temporary.input(teeUuid(simsKeepAlive))]);
    expect(await counter(first)).toBe(1);
    await expect(counter(second)).rejects.toEqual(dead);
    await openFrom(first, simsKeepAlive);
    expect(await counter(first)).toBe(2);
  });
});

/** The TA opens a session of another, and counts it. */
const openFrom = (session: Session, uuid: string) =>
  session.invoke(SimsCommand.openTaSession, [temporary.input(teeUuid(uuid))]);

const counter = async (session: Session) => (await session.invoke(SimsCommand.getCounter, [value.output()]))[0].a;
