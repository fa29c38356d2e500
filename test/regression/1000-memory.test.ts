import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { immediateSchedule } from '../../src/clock/schedule.js';
import { machineClock, memref, type SharedMemory, TeeOrigin, TeeResult, Trace, temporary } from '../../src/index.js';
import { openDriver } from '../../src/optee/open-driver.js';
import { clientLogin } from '../../src/tee/login.js';
import { TeeContext } from '../../src/tee/tee-context.js';
import { InvokeTestsCommand, invokeTests, OsTestCommand, osTest } from '../support/optee-test-applications.js';
import { named, onRealOptee, startWorld, whyNot, without } from '../worlds/qemu/real-optee.js';
import { realTee } from './real-tee.js';

const page = 4096;

describe.skipIf(whyNot !== undefined)(onRealOptee('regression group 1000: memory of the client'), () => {
  const real = realTee();

  const allocated = (size: number) => real.context.allocateSharedMemory(size);
  const registered = (size: number) => real.context.registerSharedMemory(new Uint8Array(size));
  /** Without it all memory is one range that OP-TEE has from the beginning. */
  const unregistered = without('CFG_CORE_DYN_SHM');

  it('1017: four parts of one memory, two of them neighbours', async () => {
    await using memory = await allocated(8 * page);
    await using session = await real.context.openSession(osTest);
    await session.invoke(OsTestCommand.params, [
      memref.input(memory, { offset: 0, size: page }),
      memref.input(memory, { offset: page, size: page }),
      memref.output(memory, { offset: 4 * page, size: page }),
      memref.output(memory, { offset: 6 * page, size: 2 * page }),
    ]);
  });

  const mixed = async (
    _name: string,
    make: typeof allocated,
    offsets: readonly [number, number, number],
    size: number,
  ) => {
    await using memory = await make(4 * page);
    await using session = await real.context.openSession(osTest);
    memory.bytes.set(randomBytes(memory.size));
    const [input, inout, output] = offsets;
    // What os_test does: inout is incremented, output is the sum of the new inout and input.
    const expected = Uint8Array.from(memory.bytes);
    for (let index = 0; index < size; index++) {
      const incremented = (memory.bytes[inout + index] ?? 0) + 1;
      expected[inout + index] = incremented;
      expected[output + index] = incremented + (memory.bytes[input + index] ?? 0);
    }
    await session.invoke(OsTestCommand.ta2taMemrefMix, [
      memref.input(memory, { offset: input, size }),
      memref.inout(memory, { offset: inout, size }),
      memref.output(memory, { offset: output, size }),
    ]);
    expect(Buffer.compare(memory.bytes, expected)).toBe(0);
  };
  it.each([
    ['neighbouring pages of allocated memory', allocated, [0, page, 2 * page], page],
    ['pages in the wrong order', allocated, [3 * page, 2 * page, 0], page],
    ['parts of the same pages', allocated, [5, 1005, 2005], 1000],
  ] as const)('1017: a TA reads and writes %s, and touches nothing else', mixed);
  it.skipIf(unregistered !== undefined).each([
    ['parts across pages of registered memory', registered, [100, 5100, 10_101], 5000],
    ['neighbouring pages of registered memory', registered, [page, 2 * page, 3 * page], page],
  ] as const)(named('1017: a TA reads and writes %s, and touches nothing else', unregistered), mixed);

  const exceeded = async (_name: string, make: typeof allocated, whole: number, offset: number, size: number) => {
    await using session = await real.context.openSession(osTest);
    await using memory: SharedMemory = await make(whole);
    const given = memref.input(memory, { offset, size });
    const inside = [memref.input(memory), memref.output(memory), memref.output(memory)] as const;
    await expect(session.invoke(OsTestCommand.params, [given, ...inside])).rejects.toMatchObject({
      code: TeeResult.ERROR_BAD_PARAMETERS,
      origin: TeeOrigin.API,
    });
    await session.invoke(OsTestCommand.params, [memref.input(memory), ...inside]);
  };
  it.each([
    ['by a page', allocated, 8 * page, 6 * page, 3 * page],
    ['by a byte of allocated memory', allocated, 6001, 3002, 3000],
    ['with nothing inside', allocated, page, page, 1],
    ['with a size that wraps around', allocated, page, 1, 2 ** 53 - 1],
    ['before its beginning', allocated, page, -1, 2],
  ] as const)('1018: memory is exceeded %s: no TA sees it', exceeded);
  it
    .skipIf(unregistered !== undefined)
    .each([['by a byte of registered memory', registered, 6001, 3002, 3000]] as const)(
    named('1018: memory is exceeded %s: no TA sees it', unregistered),
    exceeded,
  );

  it.skipIf(unregistered !== undefined)(
    named('1018: OP-TEE itself refuses a reference beyond the pages that it was told of', unregistered),
    async () => {
      await using world = await startWorld();
      const { driver } = await openDriver(world, {
        queue: 'hand-off',
        clock: machineClock,
        schedule: immediateSchedule,
        trace: new Trace(machineClock),
      });
      const identity = { uid: 0, gid: 0, groups: [] };
      const client = new TeeContext('client', false, identity);
      driver.open(client);
      const login = { login: 'public' } as const;
      const request = { uuid: invokeTests, client: clientLogin(login, identity, false), login, cancelId: 0 };
      const { session } = await driver.openSession(client, request, []);
      const shm = await driver.allocateShm(client, page);
      const sum = (offset: number, size: number) =>
        driver.invoke(client, { session, command: InvokeTestsCommand.params, cancelId: 0 }, [
          { type: 'memref', direction: 'inout', shm, offset, size },
        ]);
      expect(await sum(0, page)).toMatchObject({ result: TeeResult.SUCCESS });
      expect(await sum(1, page)).toMatchObject({ result: TeeResult.ERROR_SECURITY, origin: TeeOrigin.TEE });
      expect(await sum(page, 1)).toMatchObject({ result: TeeResult.ERROR_SECURITY, origin: TeeOrigin.TEE });
      expect(await sum(page - 1, 1)).toMatchObject({ result: TeeResult.SUCCESS });
      await shm.put();
      await driver.release(client);
      await driver.remove();
    },
  );

  it('1025: an empty buffer is not a null one, to a user TA', async () => {
    await using session = await real.context.openSession(osTest);
    const empty = () => new Uint8Array(0);
    const { nullMemrefParams } = OsTestCommand;
    const output = [temporary.output(empty()), temporary.output(null)] as const;
    await session.invoke(nullMemrefParams, [temporary.input(empty()), temporary.input(null), ...output]);
    const refused = { code: TeeResult.ERROR_BAD_PARAMETERS, origin: TeeOrigin.TRUSTED_APP };
    for (const wrong of [null, new Uint8Array(1)])
      await expect(
        session.invoke(nullMemrefParams, [temporary.input(wrong), temporary.input(null), ...output]),
      ).rejects.toMatchObject(refused);
  });

  it.skipIf(unregistered !== undefined)(named('1025: no memory is none to a pseudo-TA', unregistered), async () => {
    await using session = await real.context.openSession(invokeTests);
    await session.invoke(InvokeTestsCommand.memrefNull, [temporary.inout(null)]);
    expect((await real.context.allocateSharedMemory(0)).size).toBe(0);
    expect((await real.context.registerSharedMemory(new Uint8Array(0))).size).toBe(0);
  });
});
