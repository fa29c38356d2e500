/**
 * What every TEE does for its clients: the same tests on the simulated world, the real OP-TEE in QEMU, and a board's behind
 * Linux's own driver. They need OP-TEE's test applications (optee_test), and no more than a client can do. Written for
 * vitest and node:test alike.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';

const invokeTests = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const Pta = { params: 1, memrefNull: 10 };
const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
const Ta = { panic: 6, wait: 9, getGlobalVar: 18, clientIdentity: 20 };

/** tee_client_api.h */
const Code = {
  success: 0,
  cancel: 0xffff0002,
  badParameters: 0xffff0006,
  badState: 0xffff0007,
  itemNotFound: 0xffff0008,
  targetDead: 0xffff3024,
  timeout: 0xffff3001,
};
const Origin = { api: 1, comms: 2, tee: 3, trustedApp: 4 };

/** Linux's tee_core.c */
const clientUuidNamespace = '58ac9ca020864683a1b8ec4bc08e01b6';

/** @type {import('./suite.js').behaviourSuite} */
export function behaviourSuite({ describe, it, before, after }, api, world) {
  const { memref, none, temporary, value, TeecError } = api;

  const fails = (pending, code, origin) =>
    assert.rejects(pending, (error) => {
      assert.ok(error instanceof TeecError, `a TeecError, not ${error}`);
      assert.deepEqual({ code: error.code, origin: error.origin }, { code, origin }, error.message);
      return true;
    });

  describe(`a client of ${world.name}`, () => {
    let tee;
    let context;
    before(async () => {
      tee = await world.open();
      context = tee.openContext();
    });
    after(async () => {
      await tee.close();
      assert.equal(tee.sharedMemoryInUse, 0, 'shared memory that nobody gave back');
    });

    /** Which errors a session in which something was opened may not lose: it is closed. */
    const withSession = async (uuid, use, options) => {
      const session = await context.openSession(uuid, options);
      try {
        return await use(session);
      } finally {
        await session.close();
      }
    };

    for (const index of [0, 1, 2, 3])
      it(`adds a value in parameter ${index}`, () =>
        withSession(invokeTests, async (session) => {
          const parameters = [none, none, none, none].map((empty, at) =>
            at === index ? value.inout(0xffff_fff0, 0x20) : empty,
          );
          assert.deepEqual((await session.invoke(Pta.params, parameters))[index], { a: 0x10, b: 0x20 });
        }));

    it('adds three values into a fourth at any position', () =>
      withSession(invokeTests, async (session) => {
        const [first, second, third] = [value.input(1, 10), value.input(2, 20), value.input(3, 30)];
        const sums = { a: 6, b: 60 };
        assert.deepEqual((await session.invoke(Pta.params, [value.output(), first, second, third]))[0], sums);
        assert.deepEqual((await session.invoke(Pta.params, [first, second, value.output(), third]))[2], sums);
      }));

    for (const size of [1, 2, 511, 4095, 4096, 4097, 8192, 65_536, 65_537, 300_001])
      it(`sums ${size} bytes of temporary memory`, () =>
        withSession(invokeTests, async (session) => {
          const bytes = pattern(size);
          const expected = bytes.slice();
          expected[0] = sum(bytes);
          const [out] = await session.invoke(Pta.params, [temporary.inout(bytes)]);
          assert.equal(Buffer.compare(out, expected), 0);
        }));

    const summed = (kind, offset, size) =>
      withSession(invokeTests, async (session) => {
        const memory = await (kind === 'allocated'
          ? context.allocateSharedMemory(20_000)
          : context.registerSharedMemory(new Uint8Array(20_000)));
        memory.bytes.set(pattern(20_000));
        const expected = pattern(20_000);
        expected[offset] = sum(expected.subarray(offset, offset + size));
        await session.invoke(Pta.params, [memref.inout(memory, { offset, size })]);
        assert.equal(Buffer.compare(memory.bytes, expected), 0);
        await memory[Symbol.asyncDispose]();
      });
    for (const [offset, size] of [
      [0, 1],
      [1, 4096],
      [4095, 2],
      [4096, 4096],
      [8191, 9000],
    ])
      it(`sums a part of allocated memory, at ${offset}, ${size} bytes, and touches nothing else`, () =>
        summed('allocated', offset, size));
    if (world.unregistered === undefined)
      for (const [offset, size] of [
        [0, 20_000],
        [3, 1],
        [4097, 8193],
      ])
        it(`sums a part of registered memory, at ${offset}, ${size} bytes, and touches nothing else`, () =>
          summed('registered', offset, size));

    it('keeps the bytes of released memory readable for code that still has a view', async () => {
      const memory = await context.allocateSharedMemory(5000);
      const { bytes } = memory;
      await memory[Symbol.asyncDispose]();
      bytes.fill(1);
      assert.equal(bytes[4999], 1);
      await fails(
        withSession(invokeTests, (session) => session.invoke(Pta.params, [memref.inout(memory)])),
        Code.badParameters,
        Origin.api,
      );
    });

    it('passes a null memory reference', () =>
      withSession(invokeTests, async (session) => {
        await session.invoke(Pta.memrefNull, [temporary.inout(null)]);
        await fails(
          session.invoke(Pta.memrefNull, [temporary.inout(new Uint8Array(1))]),
          Code.badParameters,
          Origin.trustedApp,
        );
      }));

    it('reports the origin when parameters or commands are refused, and continues', () =>
      withSession(invokeTests, async (session) => {
        await fails(session.invoke(Pta.params, [value.input(1)]), Code.badParameters, Origin.trustedApp);
        await fails(
          session.invoke(Pta.params, [value.inout(1), value.inout(1)]),
          Code.badParameters,
          Origin.trustedApp,
        );
        await fails(session.invoke(0xffff_ffff), Code.badParameters, Origin.trustedApp);
        await fails(session.invoke(Pta.params, [value.input(-1)]), Code.badParameters, Origin.api);
        assert.deepEqual(await session.invoke(Pta.params, [value.inout(1, 2)]), [{ a: 3, b: 2 }]);
      }));

    it('gets ITEM_NOT_FOUND for a trusted application that does not exist', () =>
      fails(context.openSession('01234567-89ab-cdef-0123-456789abcdef'), Code.itemNotFound, Origin.tee));

    it("passes the client's identity to a trusted application", async () => {
      const { uid, gid } = world.identity;
      const logins = [
        [{ login: 'public' }, 0, '00000000000000000000000000000000'],
        [{ login: 'user' }, 1, uuidVersion5(`uid=${uid.toString(16)}`)],
        [{ login: 'group', gid }, 2, uuidVersion5(`gid=${gid.toString(16)}`)],
      ];
      for (const [login, loginClass, uuid] of logins)
        await withSession(
          osTest,
          async (session) => {
            const [identity, octets] = await session.invoke(Ta.clientIdentity, [value.output(), temporary.output(16)]);
            assert.equal(identity.a, loginClass);
            assert.equal(Buffer.from(octets).toString('hex'), teeUuid(uuid));
          },
          { login },
        );
    });

    it('separates sessions, and instances of a multi-instance application', async () => {
      const sessions = await Promise.all(Array.from({ length: 4 }, () => context.openSession(osTest)));
      assert.equal(new Set(sessions.map(({ id }) => id)).size, 4);
      const values = await Promise.all(sessions.map((session) => session.invoke(Ta.getGlobalVar, [value.output()])));
      assert.deepEqual(
        values.map(([{ a }]) => a),
        [21, 21, 21, 21],
      );
      for (const session of sessions) await session.close();
    });

    it('reports a trusted application that panicked, each time, without affecting other sessions', () =>
      withSession(osTest, async (other) => {
        await withSession(osTest, async (session) => {
          await fails(session.invoke(Ta.panic, [value.input(0)]), Code.targetDead, Origin.tee);
          await fails(session.invoke(Ta.getGlobalVar, [value.output()]), Code.targetDead, Origin.tee);
        });
        assert.equal((await other.invoke(Ta.getGlobalVar, [value.output()]))[0].a, 21);
      }));

    it('serves ten clients that wait on fewer threads', async () => {
      const sessions = await Promise.all(Array.from({ length: 10 }, () => context.openSession(osTest)));
      await Promise.all(sessions.map((session) => session.invoke(Ta.wait, [value.input(2)])));
      for (const session of sessions) await session.close();
    });

    it('makes no call if the signal is already aborted', () =>
      withSession(osTest, (session) =>
        fails(session.invoke(Ta.wait, [value.input(1)], { signal: AbortSignal.abort() }), Code.cancel, Origin.api),
      ));

    it('closes a context with calls in flight: its sessions close after the calls have returned', async () => {
      const other = tee.openContext();
      const session = await other.openSession(osTest);
      const waiting = session.invoke(Ta.wait, [value.input(5)]);
      await other.close();
      await waiting;
      await fails(session.invoke(Ta.wait, [value.input(5)]), Code.badState, Origin.comms);
    });

    it('serves the next client after one was killed in a wait', async () => {
      const dying = tee.openContext();
      const session = await dying.openSession(osTest);
      const begun = new AbortController();
      const forget = tee.trace.listen((event) => {
        if (event.type === 'call-begin' && event.purpose === 'invoke') begun.abort();
      });
      const waiting = session.invoke(Ta.wait, [value.input(50)]).then(
        () => Code.success,
        ({ code }) => code,
      );
      if (!begun.signal.aborted) await once(begun.signal, 'abort');
      forget();
      // A kill waits for so long and no longer, which a busy machine may not keep; what it began goes on, and a close waits for it.
      await dying.kill().catch(({ code }) => assert.equal(code, Code.timeout));
      await dying.close();
      // It was cancelled, or was over before.
      assert.ok([Code.cancel, Code.success].includes(await waiting));
      await withSession(osTest, (next) => next.invoke(Ta.getGlobalVar, [value.output()]));
    });

    it('lists the devices that need no supplicant', async () => {
      const devices = await tee.devices();
      assert.ok(devices.some(({ uuid, needs }) => uuid === invokeTests && needs === 'nothing'));
    });
  });
}

function pattern(size) {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
}

function sum(bytes) {
  return bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
}

/** RFC 4122, in hexadecimal. */
function uuidVersion5(name) {
  const hash = createHash('sha1').update(Buffer.from(clientUuidNamespace, 'hex')).update(name).digest().subarray(0, 16);
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  return hash.toString('hex');
}

/** `TEE_UUID` as it lies in a TA's memory: its integers are little endian. */
function teeUuid(hex) {
  const octets = Buffer.from(hex, 'hex');
  octets.subarray(0, 4).reverse();
  octets.subarray(4, 6).reverse();
  octets.subarray(6, 8).reverse();
  return octets.toString('hex');
}
