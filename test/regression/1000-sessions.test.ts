import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { memref, temporary, value } from '../../src/index.js';
import { builtWith, onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';
import { realTee } from './real-tee.js';
import { SimsCommand, sims } from './sims.js';

/** ta/concurrent, and ta/concurrent_large with 2 MiB of data: an instance for each session, busy at the same time. */
const concurrent = 'e13010e0-2ae1-11e5-896a-0002a5d5c51b';
const concurrentLarge = '5ce0c432-0ab0-40e5-a056-782ca0e6aba2';
/** ta/concurrent/include/ta_concurrent.h; both count in shared memory how many of them run. */
const ConcurrentCommand = { busyLoop: 0, sha256: 1 } as const;

describe.skipIf(whyNot !== undefined)(onRealOptee('regression group 1000: sessions beside each other'), () => {
  const real = realTee();

  it('1005: many sessions, opened at once over two threads, are different ones', async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, () => real.context.openSession(concurrent)));
    expect(new Set(sessions.map(({ id }) => id)).size).toBe(8);
    await Promise.all(sessions.map((session) => session.close()));
  });

  it('1012: a single-instance, multi-session TA keeps its state over its sessions', async () => {
    await using first = await real.context.openSession(sims);
    const place = value.input(0);
    const kept = Uint8Array.from({ length: 32 }, (_, index) => 0x5a ^ (7 * index));
    await first.invoke(SimsCommand.write, [place, temporary.input(kept)]);
    for (const earlier of [1, 2]) {
      await using second = await real.context.openSession(sims);
      expect((await second.invoke(SimsCommand.read, [place, temporary.output(32)]))[1]).toEqual(kept);
      // How many sessions this instance had before the one that asks.
      expect(await first.invoke(SimsCommand.getCounter, [value.output()])).toEqual([{ a: 0, b: 0 }]);
      expect(await second.invoke(SimsCommand.getCounter, [value.output()])).toEqual([{ a: earlier, b: 0 }]);
    }
    expect((await first.invoke(SimsCommand.read, [place, temporary.output(32)]))[1]).toEqual(kept);
  });

  it.each([
    ['small', concurrent],
    ['large', concurrentLarge],
  ])('1013: three %s TAs compute at the same time, over two threads', async (_size, uuid) => {
    await using running = await real.context.allocateSharedMemory(4);
    // Over FF-A it does not say how many it has.
    const threads = real.tee.info.threadCount || Number(builtWith('CFG_NUM_THREADS'));
    const input = new TextEncoder().encode('abc');
    const expected = new Uint8Array(createHash('sha256').update(input).digest());
    const run = async () => {
      await using session = await real.context.openSession(uuid);
      const [, busy] = await session.invoke(ConcurrentCommand.busyLoop, [memref.inout(running), value.inout(200)]);
      const [, hashing, , digest] = await session.invoke(ConcurrentCommand.sha256, [
        memref.inout(running),
        value.inout(20),
        temporary.input(input),
        temporary.output(32),
      ]);
      expect(digest).toEqual(expected);
      return [busy.b, hashing.b];
    };
    for (const atOnce of (await Promise.all([run(), run(), run()])).flat()) {
      expect(atOnce).toBeGreaterThanOrEqual(1);
      expect(atOnce).toBeLessThanOrEqual(threads);
    }
    expect([...running.bytes], 'still running').toEqual([0, 0, 0, 0]);
  });
});
