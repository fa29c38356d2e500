import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TaCall } from '../../src/index.js';
import {
  memref,
  memrefSizes,
  openTee,
  type Tee,
  type TeecError,
  TeeResult,
  temporary,
  trustedApplication,
  value,
} from '../../src/index.js';
import type { TaResult } from '../../src/testing.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11';

/** A TEE whose one application does that. */
async function teeOf(invokeCommand: (call: TaCall) => TaResult, simulated = {}) {
  const ta = trustedApplication({ uuid, kind: 'pseudo', concurrent: true, create: () => ({ invokeCommand }) });
  const tee = await openTee({ trustedApplications: [ta], simulated: { threads: 4, ...simulated } });
  const context = tee.openContext();
  return { tee, context, session: await context.openSession(uuid) };
}

const closing = async (tee: Tee) => {
  await tee.close();
  expect(tee.sharedMemoryInUse).toBe(0);
};

/** A place where calls stop until all of them are there. */
function meeting(count: number) {
  let here = 0;
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    if (++here === count) open();
    return opened;
  };
}

const failure = (promise: Promise<unknown>): Promise<TeecError> =>
  promise.then(
    () => {
      throw new Error('nothing failed');
    },
    (error: TeecError) => error,
  );

describe('registered memory', () => {
  it('keeps the writes of two concurrent calls to different bytes', async () => {
    const both = meeting(2);
    const { tee, context, session } = await teeOf(async (call) => {
      await both();
      call.memref(0).write(Uint8Array.of(call.command), call.command);
      return undefined;
    });
    const buffer = new Uint8Array(8);
    const memory = await context.registerSharedMemory(buffer);
    const other = await context.openSession(uuid);
    await Promise.all([session.invoke(1, [memref.inout(memory)]), other.invoke(2, [memref.inout(memory)])]);
    expect([...buffer]).toEqual([0, 1, 2, 0, 0, 0, 0, 0]);
    await closing(tee);
  });

  it('keeps writes of the client and of the TA during a call', async () => {
    let entered = () => {};
    let goOn = () => {};
    const inside = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const free = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const { tee, context, session } = await teeOf(async (call) => {
      if (call.command === 2) return call.memref(0).read(40, 1)[0];
      entered();
      await free;
      call.memref(0).write(Uint8Array.of(7), 3);
      return undefined;
    });
    const buffer = new Uint8Array(64);
    const memory = await context.registerSharedMemory(buffer);
    const called = session.invoke(1, [memref.inout(memory)]);
    await inside;
    buffer[40] = 9;
    goOn();
    await called;
    expect([buffer[3], buffer[40]]).toEqual([7, 9]);
    // And the TA sees it in the next call.
    expect((await failure(session.invoke(2, [memref.input(memory)]))).code).toBe(9);
    await closing(tee);
  });

  it('that is registered twice is shared by both references within a call, whichever is released first', async () => {
    const { tee, context, session } = await teeOf((call) => {
      call.memref(0).write(Uint8Array.of(41));
      return call.memref(1).read(0, 1)[0];
    });
    const buffer = new Uint8Array(64).fill(1);
    const [one, two] = await Promise.all([context.registerSharedMemory(buffer), context.registerSharedMemory(buffer)]);
    expect((await failure(session.invoke(1, [memref.inout(one), memref.inout(two)]))).code).toBe(41);
    expect(buffer[0]).toBe(41);
    await one[Symbol.asyncDispose]();
    buffer[0] = 5;
    expect((await failure(session.invoke(1, [memref.inout(two), memref.input(two)]))).code).toBe(41);
    await two[Symbol.asyncDispose]();
    await closing(tee);
  });

  it('that overlaps other registered memory loses no write through either', async () => {
    const { tee, context, session } = await teeOf((call) => {
      call.memref(0).write(Uint8Array.of(41), 20);
      call.memref(1).write(Uint8Array.of(42), 0);
    });
    const buffer = new Uint8Array(64).fill(1);
    const one = await context.registerSharedMemory(buffer.subarray(0, 40));
    const two = await context.registerSharedMemory(buffer.subarray(16));
    await session.invoke(1, [memref.inout(one), memref.inout(two)]);
    expect([buffer[15], buffer[16], buffer[20], buffer[63]]).toEqual([1, 42, 41, 1]);
    await closing(tee);
  });

  it("copies back outputs, also if the TA writes the value that was there before the client's change", async () => {
    const { tee, context, session } = await teeOf((call) => {
      call.memref(0).write(new Uint8Array(10).fill(7));
      return undefined;
    });
    const buffer = new Uint8Array(10);
    const memory = await context.registerSharedMemory(buffer);
    await session.invoke(1, [memref.output(memory)]);
    buffer.fill(0);
    await session.invoke(1, [memref.output(memory)]);
    expect([...buffer]).toEqual(Array(10).fill(7));
    await closing(tee);
  });

  it('copies back what a TA wrote before its call failed, and beyond the returned size', async () => {
    const { tee, context, session } = await teeOf((call) => {
      call.memref(0).write(Uint8Array.of(1, 2, 3, 4));
      call.memref(0).size = 2;
      return TeeResult.ERROR_BUSY;
    });
    const buffer = new Uint8Array(8);
    const memory = await context.registerSharedMemory(buffer);
    const error = await failure(session.invoke(1, [memref.inout(memory)]));
    expect(error.code).toBe(TeeResult.ERROR_BUSY);
    expect([...buffer]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
    expect(error.outputs?.[0]).toEqual(Uint8Array.of(1, 2));
    await closing(tee);
  });

  it('agrees with shared memory after any writes of either side, at any alignment', async () => {
    const { tee, context, session } = await teeOf((call) => {
      const { a: at, b: length } = call.value(1);
      call.memref(0).write(new Uint8Array(length).fill(call.value(2).a), at);
    });
    const size = 40_000;
    const write = fc.record({ client: fc.boolean(), at: fc.nat(size - 1), length: fc.nat(300), byte: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(7),
        fc.boolean(),
        fc.array(write, { maxLength: 12 }),
        async (shift, ofThreads, writes) => {
          const whole = new Uint8Array(ofThreads ? new SharedArrayBuffer(size + 8) : new ArrayBuffer(size + 8));
          const buffer = whole.subarray(shift, shift + size);
          const expected = new Uint8Array(size);
          await using memory = await context.registerSharedMemory(buffer);
          for (const { client, at, length, byte } of writes) {
            const end = Math.min(size, at + length);
            expected.fill(byte, at, end);
            if (client) buffer.fill(byte, at, end);
            else await session.invoke(1, [memref.inout(memory), value.input(at, end - at), value.input(byte)]);
          }
          expect(Buffer.compare(buffer, expected)).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
    await closing(tee);
  });
});

describe('temporary memory', () => {
  it('that a call passes twice is one buffer for the TA, and loses no write', async () => {
    const { tee, session } = await teeOf((call) => {
      call.memref(0).write(Uint8Array.of(41), 0);
      call.memref(1).write(Uint8Array.of(42), 1);
      return call.memref(1).read(0, 1)[0] === 41 ? undefined : TeeResult.ERROR_GENERIC;
    });
    const buffer = new Uint8Array(4);
    await session.invoke(1, [temporary.inout(buffer), temporary.inout(buffer)]);
    expect([...buffer]).toEqual([41, 42, 0, 0]);
    await closing(tee);
  });

  it('that overlaps in a chain is one piece', async () => {
    const { tee, session } = await teeOf((call) => {
      call.memref(0).write(Uint8Array.of(1), 9);
      call.memref(1).write(Uint8Array.of(2), 9);
      call.memref(2).write(Uint8Array.of(3), 0);
    });
    const buffer = new Uint8Array(30);
    // The third joins the first two.
    const [a, c, b] = [buffer.subarray(0, 10), buffer.subarray(15, 25), buffer.subarray(9, 16)];
    await session.invoke(1, [temporary.inout(a), temporary.output(c), temporary.inout(b)]);
    expect([buffer[9], buffer[24], buffer[0]]).toEqual([3, 2, 0]);
    await closing(tee);
  });

  it('of two concurrent calls keeps the writes of both to the same buffer', async () => {
    const both = meeting(2);
    const { tee, context, session } = await teeOf(async (call) => {
      await both();
      call.memref(0).write(Uint8Array.of(call.command), call.command);
      return undefined;
    });
    const buffer = new Uint8Array(4);
    const other = await context.openSession(uuid);
    await Promise.all([session.invoke(1, [temporary.inout(buffer)]), other.invoke(2, [temporary.inout(buffer)])]);
    expect([...buffer]).toEqual([0, 1, 2, 0]);
    await closing(tee);
  });

  it('of two clients at a time keeps what each writes into the same buffer', async () => {
    const both = meeting(2);
    const { tee, session } = await teeOf(async (call) => {
      await both();
      call.memref(0).write(Uint8Array.of(call.command), call.command);
      return undefined;
    });
    const buffer = new Uint8Array(4);
    const other = await tee.openContext().openSession(uuid);
    await Promise.all([session.invoke(1, [temporary.inout(buffer)]), other.invoke(2, [temporary.inout(buffer)])]);
    expect([...buffer]).toEqual([0, 1, 2, 0]);
    await closing(tee);
  });

  it.each([
    ['comes back first', 1],
    ['comes back last', 2],
  ])('beside the same buffer as registered memory, which %s, loses neither write', async (_, first) => {
    const both = meeting(2);
    let back = () => {};
    const isBack = new Promise<void>((resolve) => {
      back = resolve;
    });
    const { tee, context, session } = await teeOf(async (call) => {
      await both();
      call.memref(0).write(Uint8Array.of(call.command), call.command);
      if (call.command !== first) await isBack;
      return undefined;
    });
    const buffer = new Uint8Array(4);
    const memory = await context.registerSharedMemory(buffer);
    const other = await context.openSession(uuid);
    const calls = [session.invoke(1, [memref.inout(memory)]), other.invoke(2, [temporary.inout(buffer)])];
    await calls[first - 1];
    back();
    await Promise.all(calls);
    expect([...buffer]).toEqual([0, 1, 2, 0]);
    await closing(tee);
  });

  it.each(['registered first', 'temporary first'])(
    'in one call with the same buffer, %s, loses neither write',
    async (order) => {
      const { tee, context, session } = await teeOf((call) => {
        call.memref(0).write(Uint8Array.of(1), 1);
        call.memref(1).write(Uint8Array.of(2), 2);
      });
      const buffer = new Uint8Array(4);
      const memory = await context.registerSharedMemory(buffer);
      const [one, two] = [memref.inout(memory), temporary.inout(buffer)] as const;
      await (order === 'registered first' ? session.invoke(1, [one, two]) : session.invoke(1, [two, one]));
      expect([...buffer]).toEqual([0, 1, 2, 0]);
      await closing(tee);
    },
  );

  it('is not allocated for a call that is refused because of another parameter', async () => {
    const { tee, session } = await teeOf(() => undefined);
    await session.invoke(1, [temporary.input(new Uint8Array(100_000))]);
    const before = tee.sharedMemoryInUse;
    for (let round = 0; round < 5; round++)
      await failure(session.invoke(1, [temporary.input(new Uint8Array(100_000)), value.input(-1)]));
    expect(tee.sharedMemoryInUse).toBe(before);
    await closing(tee);
  });
});

describe('a size larger than the room', () => {
  const claim = (result: number | undefined) => (call: TaCall) => {
    const target = call.memref(0);
    target.write(new Uint8Array(32).fill(7));
    target.size = 64;
    return result;
  };

  it.each(['temporary', 'registered', 'allocated'])(
    'returns the part that fits, and the required size: %s',
    async (kind) => {
      for (const result of [undefined, TeeResult.ERROR_SHORT_BUFFER, TeeResult.ERROR_GENERIC]) {
        const { tee, context, session } = await teeOf(claim(result));
        const parameter =
          kind === 'temporary'
            ? temporary.output(32)
            : memref.output(
                await (kind === 'registered'
                  ? context.registerSharedMemory(new Uint8Array(32))
                  : context.allocateSharedMemory(32)),
              );
        const invoked = session.invoke(1, [parameter]);
        if (result === undefined) {
          const outputs = await invoked;
          expect(outputs).toEqual([new Uint8Array(32).fill(7)]);
          expect(memrefSizes(outputs)).toEqual([64]);
        } else {
          const error = await failure(invoked);
          expect(error.outputs).toEqual([new Uint8Array(32).fill(7)]);
          expect(error.sizes).toEqual([64]);
          expect(error.message).toContain('parameter 0 needs 64 bytes, there is room for 32');
        }
        await closing(tee);
      }
    },
  );

  it('is also reported together with outputs that fit', async () => {
    const { tee, session } = await teeOf((call) => {
      call.memref(1).size = 3;
    });
    expect(memrefSizes(await session.invoke(1, [value.input(1), temporary.output(8)]))).toEqual([undefined, 3]);
    await closing(tee);
  });
});

describe('sizes at the ends of the range', () => {
  it('are memory of no bytes for 0, as in libteec', async () => {
    for (const simulated of [{}, { dynamicShm: false }, { abi: 'ffa' as const }]) {
      const { tee, context, session } = await teeOf((call) => (call.memref(0).capacity === 0 ? 1 : 2), simulated);
      const memories = [await context.allocateSharedMemory(0)];
      if (!('dynamicShm' in simulated)) memories.push(await context.registerSharedMemory(new Uint8Array(0)));
      for (const memory of memories) {
        expect(memory.size).toBe(0);
        expect((await failure(session.invoke(1, [memref.inout(memory)]))).code).toBe(1);
        await memory[Symbol.asyncDispose]();
      }
      await closing(tee);
    }
  });

  it.each([2 ** 30 + 1, 2 ** 32 - 2, 2 ** 40, Number.POSITIVE_INFINITY])('are OUT_OF_MEMORY for %d', async (size) => {
    const { tee, context } = await teeOf(() => undefined);
    expect((await failure(context.allocateSharedMemory(size))).code).toBe(TeeResult.ERROR_OUT_OF_MEMORY);
    expect(() => temporary.output(size)).toThrow(/OUT_OF_MEMORY/);
    await closing(tee);
  });

  it.each([-1, 0.5, Number.NaN, 'x' as never, null as never])(
    'are BAD_PARAMETERS for the invalid size %s',
    async (size) => {
      const { tee, context } = await teeOf(() => undefined);
      expect((await failure(context.allocateSharedMemory(size))).code).toBe(TeeResult.ERROR_BAD_PARAMETERS);
      await closing(tee);
    },
  );

  it.each([null, undefined, 'text', [1, 2], new ArrayBuffer(8), new Uint16Array(4)])(
    'registering %o, which is not a Uint8Array, is refused by name',
    async (buffer) => {
      const { tee, context } = await teeOf(() => undefined);
      const error = await failure(context.registerSharedMemory(buffer as never));
      expect(error.code).toBe(TeeResult.ERROR_BAD_PARAMETERS);
      expect(error.message).toContain('expected a Uint8Array');
      await closing(tee);
    },
  );
});

describe('a null reference to a TEE that does not support it', () => {
  it('is memory of no bytes, in a session that opens and in a command', async () => {
    const { tee, context, session } = await teeOf(
      (call) => {
        const wanted = call.memref(0);
        if (wanted.capacity !== 0) return TeeResult.ERROR_GENERIC;
        wanted.size = 12;
        return TeeResult.ERROR_SHORT_BUFFER;
      },
      { memrefNull: false },
    );
    expect((await failure(session.invoke(1, [temporary.output(null)]))).sizes).toEqual([12]);
    await context.openSession(uuid, { parameters: [temporary.input(null)] });
    await closing(tee);
  });
});
