import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memref, none, openTee, type Tee, type TeecError, temporary, value } from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { Command, Gate, pseudoTa, userTa } from '../support/applications.js';

const code = (name: keyof typeof TeeResult, origin?: keyof typeof TeeOrigin) =>
  expect.objectContaining({ code: TeeResult[name], ...(origin === undefined ? {} : { origin: TeeOrigin[origin] }) });

const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => index * 7);

/** Each way in which secure world can share memory, and so each form in which a message reaches it. */
const worlds = {
  'messages in reserved memory beside dynamic memory (CALL_WITH_RPC_ARG)': {},
  'registered messages (CALL_WITH_REGD_ARG)': { reservedShm: false },
  'messages in normal RAM (CALL_WITH_ARG)': { rpcArg: false, reservedShm: false },
  'messages in reserved memory with RPC messages (CALL_WITH_RPC_ARG)': { dynamicShm: false },
  'messages in reserved memory (CALL_WITH_ARG)': { dynamicShm: false, rpcArg: false },
} as const;

const callForms = {
  'messages in reserved memory beside dynamic memory (CALL_WITH_RPC_ARG)': 0x3200_0012,
  'registered messages (CALL_WITH_REGD_ARG)': 0x3200_0013,
  'messages in normal RAM (CALL_WITH_ARG)': 0x3200_0004,
  'messages in reserved memory with RPC messages (CALL_WITH_RPC_ARG)': 0x3200_0012,
  'messages in reserved memory (CALL_WITH_ARG)': 0x3200_0004,
} as const;

for (const [form, simulated] of Object.entries(worlds)) {
  describe(`a client, with ${form}`, () => {
    let tee: Tee;
    const gate = new Gate();
    beforeEach(async () => {
      tee = await openTee({
        trustedApplications: [userTa, pseudoTa],
        simulated,
        supplicant: { services: gate.services },
        identity: { uid: 1000, gid: 1000, groups: [] },
      });
    });
    afterEach(async () => {
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
    });

    it('uses this way of passing messages', async () => {
      const session = await tee.openContext().openSession(pseudoTa.uuid);
      const functions = new Set<number>();
      tee.trace.listen((event) => {
        if (event.type === 'world-enter') functions.add(event.function);
      });
      await session.invoke(Command.add, [value.inout(1, 2)]);
      expect([...functions]).toEqual([callForms[form as keyof typeof callForms]]);
    });

    it.each([
      ['a user TA, loaded through the supplicant', userTa.uuid],
      ['a pseudo-TA', pseudoTa.uuid],
    ])('passes values to %s and back', async (_, uuid) => {
      await using context = tee.openContext();
      await using session = await context.openSession(uuid);
      expect(await session.invoke(Command.add, [value.inout(40, 2)])).toEqual([{ a: 42, b: 2 }]);
      expect(await session.invoke(Command.add, [value.inout(0xffff_ffff, 1), none])).toEqual([
        { a: 0, b: 1 },
        undefined,
      ]);
    });

    it.each([1, 15, 4096, 4097, 70_000])('passes a temporary buffer of %d bytes and back', async (length) => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      const buffer = bytes(length);
      const [reversed] = await session.invoke(Command.reverse, [temporary.inout(buffer)]);
      expect(reversed).toEqual(bytes(length).reverse());
      expect(buffer).toEqual(bytes(length).reverse());
    });

    it('shares allocated memory, whole and in parts', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      await using shared = await context.allocateSharedMemory(10_000);
      shared.bytes.set(bytes(10_000));
      await session.invoke(Command.reverse, [memref.inout(shared, { offset: 4000, size: 200 })]);
      const expected = bytes(10_000);
      expected.subarray(4000, 4200).reverse();
      expect(shared.bytes).toEqual(expected);
      await session.invoke(Command.reverse, [memref.inout(shared)]);
      expect(shared.bytes).toEqual(expected.reverse());
    });

    it('finds no data of the last owner in shared memory', async () => {
      await using last = tee.openContext();
      const dirty = [];
      for (let count = 0; count < 8; count++) dirty.push(await last.allocateSharedMemory(6000));
      for (const memory of dirty) memory.bytes.fill(0x5a);
      for (const memory of dirty) await memory[Symbol.asyncDispose]();
      await using next = tee.openContext();
      for (let count = 0; count < 8; count++)
        expect((await next.allocateSharedMemory(6000)).bytes).toEqual(new Uint8Array(6000));
    });

    it('gets the required size of an output', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      const buffer = new Uint8Array(10);
      await expect(session.invoke(Command.fill, [value.input(100), temporary.output(buffer)])).rejects.toEqual(
        code('ERROR_SHORT_BUFFER', 'TRUSTED_APP'),
      );
      expect(buffer).toEqual(new Uint8Array(10));
      const [, filled] = await session.invoke(Command.fill, [value.input(4), temporary.output(10)]);
      expect(filled).toEqual(new Uint8Array(4).fill(0xa5));
    });

    it('queries a size with a null reference', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      const error: TeecError = await session.invoke(Command.fill, [value.input(100), temporary.output(null)]).then(
        () => expect.fail('no error'),
        (reason) => reason,
      );
      expect(error).toEqual(code('ERROR_SHORT_BUFFER'));
    });

    it('distinguishes an empty buffer from a null reference', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      const [none] = await session.invoke(Command.isNull, [value.output(), temporary.input(null)]);
      const [empty] = await session.invoke(Command.isNull, [value.output(), temporary.input(new Uint8Array(0))]);
      expect([none.a, empty.a]).toEqual([1, 0]);
    });

    it('finds no data of another call in temporary memory', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      await session.invoke(Command.reverse, [temporary.inout(bytes(100))]);
      const [found] = await session.invoke(Command.reverse, [temporary.inout(new Uint8Array(50))]);
      expect(found).toEqual(new Uint8Array(50));
      const output = new Uint8Array(100);
      await session.invoke(Command.fill, [value.input(10), temporary.output(output)]);
      expect(output).toEqual(new Uint8Array(100).fill(0xa5, 0, 10));
    });

    it('gets the result of a TA, with its origin', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid);
      await expect(session.invoke(Command.fail, [value.input(TeeResult.ERROR_BUSY)])).rejects.toEqual(
        code('ERROR_BUSY', 'TRUSTED_APP'),
      );
      await expect(session.invoke(99)).rejects.toThrow(
        `invoking command 99 of ${userTa.uuid}: TEEC_ERROR_NOT_SUPPORTED (0xffff000a, origin TRUSTED_APP)`,
      );
    });

    it('gets ITEM_NOT_FOUND for a TA that does not exist', async () => {
      await using context = tee.openContext();
      await expect(context.openSession('00000000-0000-4000-8000-000000000000')).rejects.toEqual(
        code('ERROR_ITEM_NOT_FOUND', 'TEE'),
      );
    });

    it('gets TARGET_DEAD from a TA after its panic, but not from others', async () => {
      await using context = tee.openContext();
      await using other = await context.openSession(pseudoTa.uuid);
      await using session = await context.openSession(userTa.uuid);
      await expect(session.invoke(Command.panic)).rejects.toEqual(code('ERROR_TARGET_DEAD', 'TEE'));
      await expect(session.invoke(Command.add, [value.inout(1, 1)])).rejects.toEqual(code('ERROR_TARGET_DEAD', 'TEE'));
      expect(await other.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
      await using again = await context.openSession(userTa.uuid);
      expect(await again.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
    });

    it('is identified to the TA by its login method and its identity', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(userTa.uuid, { login: { login: 'user' } });
      const [login, uuid] = await session.invoke(Command.whoAmI, [value.output(), temporary.output(36)]);
      expect(login).toEqual({ a: 1, b: 0 });
      // uuid5(58ac9ca0-2086-4683-a1b8-ec4bc08e01b6, "uid=3e8")
      expect(new TextDecoder().decode(uuid)).toBe('fc34275c-d8dd-5ba7-968b-504718363b87');
    });

    it('keeps several sessions apart and closes them with its context', async () => {
      const context = tee.openContext();
      const first = await context.openSession(userTa.uuid);
      const second = await context.openSession(userTa.uuid);
      expect(second.id).not.toBe(first.id);
      const closed: number[] = [];
      tee.trace.listen((event) => {
        if (event.type === 'session-close') closed.push(event.session);
      });
      await first.close();
      await first.close();
      await context.close();
      expect(closed).toEqual([first.id, second.id]);
      await expect(second.invoke(Command.add, [value.inout(1, 1)])).rejects.toEqual(code('ERROR_BAD_STATE', 'COMMS'));
    });

    it('waits for its calls when it closes', async () => {
      const context = tee.openContext();
      const session = await context.openSession(pseudoTa.uuid);
      const asked = session.invoke(Command.ask);
      await gate.reached(1);
      const closing = context.close();
      await expect(session.invoke(Command.add, [value.inout(1, 1)])).rejects.toEqual(code('ERROR_BAD_STATE'));
      gate.open();
      await expect(asked).resolves.toEqual([]);
      await closing;
    });

    it('can have more concurrent calls than secure world has threads', async () => {
      await using context = tee.openContext();
      await using session = await context.openSession(pseudoTa.uuid);
      const calls = Array.from({ length: 100 }, (_, index) => session.invoke(Command.add, [value.inout(index, 1)]));
      const sums = await Promise.all(calls);
      expect(sums.map(([sum]) => sum.a)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    });
  });
}

describe('a client that registers its own buffer', () => {
  it('sees the writes of the TA in it, even in scattered pages', async () => {
    await using tee = await openTee({ trustedApplications: [userTa] });
    await using context = tee.openContext();
    await using session = await context.openSession(userTa.uuid);
    // More pages than one page of a page list holds.
    const buffer = bytes(600 * 4096 + 123);
    await using shared = await context.registerSharedMemory(buffer);
    await session.invoke(Command.reverse, [memref.inout(shared, { offset: 5000, size: 2_400_000 })]);
    const expected = bytes(600 * 4096 + 123);
    expected.subarray(5000, 2_405_000).reverse();
    expect(Buffer.compare(buffer, expected)).toBe(0);
  });

  it('is refused if secure world only has reserved memory', async () => {
    await using tee = await openTee({ simulated: { dynamicShm: false } });
    await using context = tee.openContext();
    await expect(context.registerSharedMemory(new Uint8Array(10))).rejects.toEqual(code('ERROR_NOT_SUPPORTED'));
  });
});

describe('cancellation', () => {
  it('ends a call whose TA waits', async () => {
    await using tee = await openTee({ trustedApplications: [userTa] });
    await using context = tee.openContext();
    await using session = await context.openSession(userTa.uuid);
    const controller = new AbortController();
    const stop = tee.trace.listen((event) => {
      if (event.type === 'rpc-begin') queueMicrotask(() => controller.abort());
    });
    // Each sleep of TEE_Wait ends in time, and the TA notices then.
    await expect(session.invoke(Command.wait, [value.input(5)], { signal: controller.signal })).rejects.toEqual(
      code('ERROR_CANCEL', 'TRUSTED_APP'),
    );
    stop();
    expect(await session.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
  });

  it('prevents the call if it comes before it', async () => {
    await using tee = await openTee({ trustedApplications: [pseudoTa] });
    await using context = tee.openContext();
    await using session = await context.openSession(pseudoTa.uuid);
    await expect(session.invoke(Command.add, [value.inout(1, 1)], { signal: AbortSignal.abort() })).rejects.toEqual(
      code('ERROR_CANCEL', 'API'),
    );
  });

  it('does not affect a call that masks cancellation', async () => {
    const gate = new Gate();
    await using tee = await openTee({ trustedApplications: [pseudoTa], supplicant: { services: gate.services } });
    await using context = tee.openContext();
    await using session = await context.openSession(pseudoTa.uuid);
    const controller = new AbortController();
    const asked = session.invoke(Command.ask, [], { signal: controller.signal });
    await gate.reached(1);
    controller.abort();
    gate.open();
    expect(await asked).toEqual([]);
  });
});
