import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Context,
  memref,
  openTee,
  type Parameters,
  type Session,
  type Tee,
  TeeError,
  TeeOrigin,
  TeeResult,
  temporary,
  trustedApplication,
  value,
} from '../../src/index.js';
import { Command, userTa } from '../support/applications.js';

let tee: Tee;
let context: Context;
let session: Session;
beforeAll(async () => {
  tee = await openTee({ trustedApplications: [userTa] });
  context = tee.openContext();
  session = await context.openSession(userTa.uuid);
});
afterAll(() => tee.close());

/** What the type system would not let through, as JavaScript can write it. */
const untyped = (parameters: unknown) => parameters as Parameters;

describe('a client with invalid arguments', () => {
  const foreign = () => tee.openContext().allocateSharedMemory(100);
  const disposed = async () => {
    const memory = await context.allocateSharedMemory(100);
    await memory[Symbol.asyncDispose]();
    return memory;
  };

  it.each<[string, () => unknown, RegExp]>([
    ['five parameters', () => [1, 2, 3, 4, 5].map(() => value.input(1)), /at most four/],
    ['no array', () => ({ length: 1 }), /array of at most four/],
    ['a number for a parameter', () => [42], /parameter 0 is not a parameter/],
    ['a hole', () => [value.input(1), undefined], /parameter 1 is not a parameter/],
    ['a negative value', () => [value.input(-1)], /parameter 0: value a is -1/],
    ['a value beyond 32 bits', () => [value.input(0, 2 ** 32)], /value b is 4294967296/],
    ['a fraction', () => [value.inout(0.5)], /value a is 0.5/],
    ['text for a buffer', () => [temporary.input(untyped('text') as never)], /must be a Uint8Array or null/],
    [
      'a part outside shared memory',
      async () => [memref.input(await context.allocateSharedMemory(10), { offset: 5, size: 6 })],
      /offset 5, 6 bytes, is outside its 10 bytes/,
    ],
    [
      'a negative offset',
      async () => [memref.input(await context.allocateSharedMemory(10), { offset: -1 })],
      /offset -1/,
    ],
    ["another context's memory", async () => [memref.input(await foreign())], /does not belong to this context/],
    ['memory that it disposed of', async () => [memref.input(await disposed())], /has been disposed/],
  ])('gets an error for %s, and nothing is sent', async (_, parameters, message) => {
    const given = untyped(await parameters());
    let sent = 0;
    const stop = tee.trace.listen((event) => {
      if (event.type === 'world-enter') sent++;
    });
    await expect(session.invoke(Command.add, given)).rejects.toEqual(
      expect.objectContaining({
        code: TeeResult.ERROR_BAD_PARAMETERS,
        origin: TeeOrigin.API,
        message: expect.stringMatching(message),
      }),
    );
    stop();
    expect(sent).toBe(0);
    expect(await session.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
  });

  it.each([-1, 2 ** 32, 0.5, 'add' as never])('gets an error for command %s, and nothing is sent', async (command) => {
    let sent = 0;
    const stop = tee.trace.listen((event) => {
      if (event.type === 'world-enter') sent++;
    });
    await expect(session.invoke(command)).rejects.toThrow(/^command \S+ of .+; allowed: integers from 0 to 4294967295/);
    stop();
    expect(sent).toBe(0);
  });

  it.each([
    [-1, TeeResult.ERROR_BAD_PARAMETERS],
    [1.5, TeeResult.ERROR_BAD_PARAMETERS],
    [Number.NaN, TeeResult.ERROR_BAD_PARAMETERS],
    // A size, but more than there can be.
    [2 ** 31, TeeResult.ERROR_OUT_OF_MEMORY],
  ])('is refused shared memory of %d bytes', async (size, code) => {
    // Its size alone: a failure would print what was given, memory and all.
    const given = context.allocateSharedMemory(size).then((memory) => memory.size);
    await expect(given).rejects.toEqual(expect.objectContaining({ code }));
  });

  it('gets OUT_OF_MEMORY if there is not enough memory', async () => {
    const before = tee.sharedMemoryInUse;
    await expect(context.allocateSharedMemory(500 * 2 ** 20)).rejects.toThrow(
      /allocating 524288000 bytes of dynamic shared memory, \d+ of \d+ bytes free: TEEC_ERROR_OUT_OF_MEMORY/,
    );
    expect(tee.sharedMemoryInUse).toBe(before);
  });

  it('learns how much memory a call had for which there was not enough', async () => {
    const full = trustedApplication({
      uuid: '7b6a0e3c-6d1f-4a86-9f1d-0d7a5d1f0b11',
      kind: 'user',
      create: () => ({
        invokeCommand: () => {
          throw new TeeError(TeeResult.ERROR_OUT_OF_MEMORY);
        },
      }),
    });
    await using world = await openTee({ trustedApplications: [full] });
    const session = await world.openContext().openSession(full.uuid);
    await expect(session.invoke(1, [temporary.inout(new Uint8Array(2 ** 21)), value.inout(1, 2)])).rejects.toThrow(
      `invoking command 1 of ${full.uuid} (its parameters have 2097152 bytes of memory): TEEC_ERROR_OUT_OF_MEMORY`,
    );
    // The application's own heap, most likely.
    await expect(session.invoke(1, [temporary.inout(new Uint8Array(16))])).rejects.toThrow(
      `invoking command 1 of ${full.uuid}: TEEC_ERROR_OUT_OF_MEMORY`,
    );
  });

  it('gets an error for an invalid UUID', async () => {
    await expect(context.openSession('not-a-uuid')).rejects.toThrow(/not a UUID: "not-a-uuid"/);
  });

  it('cannot use the session of another context', async () => {
    const other = tee.device.openContext('other', false, { uid: 0, gid: 0, groups: [] });
    await expect(
      tee.device.invoke(other, { session: session.id, command: Command.add, cancelId: 0 }, []),
    ).rejects.toThrow(/session \d+ is not open in this context/);
    await tee.device.closeContext(other);
  });

  it('cannot claim to be the kernel or a group it is not in', async () => {
    await expect(context.openSession(userTa.uuid, { login: { login: 'ree-kernel' } as never })).rejects.toThrow(
      /kernel clients only/,
    );
    await expect(context.openSession(userTa.uuid, { login: { login: 'group', gid: 4711 } })).rejects.toEqual(
      expect.objectContaining({ code: TeeResult.ERROR_ACCESS_DENIED }),
    );
  });

  it('does not compile with a wrong parameter', () => {
    // @ts-expect-error a value is made of numbers
    value.input('1');
    // @ts-expect-error five parameters
    const five: Parameters = [value.input(1), value.input(1), value.input(1), value.input(1), value.input(1)];
    // @ts-expect-error a bare buffer says no direction
    const bare: Parameters = [new Uint8Array(1)];
    expect([five.length, bare.length]).toEqual([5, 1]);
    async function typed() {
      const [input, output] = await session.invoke(Command.fill, [value.input(1), temporary.output(8)]);
      const nothing: undefined = input;
      const some: Uint8Array = output;
      // @ts-expect-error an input brings nothing back
      return [nothing, some, input.a];
    }
    expect(typed).toBeTypeOf('function');
  });
});
