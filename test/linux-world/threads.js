/** A program that makes system calls by threads: `node threads.js CASE SPIN`. It ends with 0 when everything was as it should be. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { SlotOperation } from '../../dist/linux/call-slot.js';
import { CallThreads } from '../../dist/linux/call-threads.js';
import { openDevice } from '../../dist/linux/system-calls.js';

const [, , which, spin] = process.argv;
const { result: fd } = openDevice('/dev/null');
/** asm-generic/ioctls.h: FIONREAD, which this device does not know. It is done at once. */
const refused = { operation: SlotOperation.ioctl, fd, request: 0x541b, arg: new Uint8Array(8) };
const answer = { result: -1, errno: constants.errno.ENOTTY };

const cases = {
  /** The event loop turns while calls follow each other, before as many as there is time for in 5 ms. */
  async turns(threads) {
    // The thread is awake, and known to be fast.
    for (let calls = 0; calls < 1000; calls++) await threads.run(refused);
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    let calls = 0;
    while (!turned && ++calls < 20_000) await threads.run(refused);
    assert.ok(turned);
  },
  /** A thread, and who waits for it, find each other whether they spin or sleep, or are about to. */
  async meets(threads) {
    for (let calls = 0; calls < 1000; calls++) {
      assert.deepEqual(await threads.run(refused), answer);
      for (let pause = calls % 5; pause > 0; pause--) await turn();
    }
  },
  /** The same for more calls than threads, and urgent ones beside them. */
  async crowds(threads) {
    for (let rounds = 0; rounds < 300; rounds++) {
      const calls = Array.from({ length: 1 + (rounds % 7) }, () => threads.run(refused));
      const urgent = threads.runUrgent(refused);
      for (const outcome of await Promise.all([...calls, urgent])) assert.deepEqual(outcome, answer);
    }
  },
  /** What waits for a thread ends with it, and so does what comes later. */
  async ends(threads) {
    const calls = Array.from({ length: 5 }, () => threads.run(refused).catch(({ message }) => message));
    // After that the process would not stay for the calls.
    const stay = setInterval(() => undefined, 60_000);
    threads.end();
    const outcomes = await Promise.all([...calls, threads.run(refused).catch(({ message }) => message)]);
    assert.deepEqual(outcomes.slice(0, 3), [answer, answer, answer]);
    for (const outcome of outcomes.slice(3)) assert.match(outcome, /the TEE is closed/);
    clearInterval(stay);
  },
};

const threads = new CallThreads(3, Number(spin));
// The threads run.
await Promise.all([1, 2, 3].map(() => threads.run(refused)));
await cases[which](threads);
threads.end();
