/**
 * `npm run soak:optee [-- --seconds N] [--clients N] [--seed N]`: clients open, invoke, wait, cancel and close at
 * random on the real OP-TEE; digests are checked against Node's. Ends with exit code 1 at the first wrong answer,
 * unexpected error or leak.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { seededRandom } from '../dist/clock/random.js';
import { openTee, TeecError, TeeResult, temporary, value } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    clients: { type: 'string', default: '4' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const invokeTestsPta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
const crypt = 'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b';
const wait = 9;
const sha256 = 2;

console.log(`seed ${values.seed}`);
const random = seededRandom(Number(values.seed));
const upTo = (limit) => Math.floor(random() * limit);
const counts = {};
const count = (what) => {
  counts[what] = (counts[what] ?? 0) + 1;
};
const check = (holds, what) => {
  if (!holds) throw new Error(what);
};

/** Actions of a client, chosen at random; listed twice means twice as often. */
const actions = [add, add, digest, digest, sleep, cancel, refuse];

const tee = await openTee({ world: 'qemu', qemu: { callLimitMs: 60_000 } });
tee.trace.listen((event) => {
  if (event.type === 'protocol-violation') throw new Error(event.what);
  if (event.type === 'world-exit' && event.a0 === 0xffff_0004) count('foreign interrupts');
  if (event.type === 'notification') count('notifications');
});
const end = performance.now() + Number(values.seconds) * 1000;
await Promise.all(Array.from({ length: Number(values.clients) }, client));
await tee.close();
check(tee.sharedMemoryInUse === 0, `${tee.sharedMemoryInUse} bytes of shared memory are left`);
console.log(counts);

async function client() {
  while (performance.now() < end) {
    const context = tee.openContext();
    const pta = await context.openSession(invokeTestsPta);
    const hash = await context.openSession(crypt);
    const waiter = await context.openSession(osTest);
    // OP-TEE keeps a late cancellation for the session's next call, so use a session of its own.
    const cancelled = await context.openSession(osTest);
    for (let step = 0; step < 40 && performance.now() < end; step++)
      await actions[upTo(actions.length)](pta, hash, waiter, cancelled);
    // In half of the cases, closing the context closes the sessions.
    if (random() < 0.5) for (const session of [pta, hash, waiter, cancelled]) await session.close();
    await context.close();
    count('contexts');
  }
}

async function add(pta) {
  const [a, b] = [upTo(2 ** 31), upTo(2 ** 31)];
  const [sum] = await pta.invoke(1, [value.inout(a, b)]);
  check(sum.a === (a + b) >>> 0, `${a} + ${b} = ${sum.a}`);
  count('sums');
}

async function digest(_pta, hash) {
  const data = Uint8Array.from({ length: 1 + upTo(random() < 0.1 ? 300_000 : 5000) }, () => upTo(256));
  const [, found] = await hash.invoke(sha256, [temporary.input(data), temporary.output(32)]);
  check(createHash('sha256').update(data).digest().equals(found), `the digest of ${data.length} bytes is wrong`);
  count('digests');
}

async function sleep(_pta, _hash, waiter) {
  await waiter.invoke(wait, [value.input(upTo(10))]);
  count('waits');
}

async function cancel(_pta, _hash, _waiter, session) {
  const controller = new AbortController();
  const waiting = session.invoke(wait, [value.input(5 + upTo(20))], { signal: controller.signal });
  setTimeout(() => controller.abort(), upTo(10));
  await waiting.then(
    () => count('waits that ended first'),
    (error) => {
      check(error instanceof TeecError && error.code === TeeResult.ERROR_CANCEL, String(error));
      count('cancelled waits');
    },
  );
}

async function refuse(pta) {
  await pta.invoke(99).then(
    () => check(false, 'a command that does not exist was accepted'),
    (error) => check(error.code === TeeResult.ERROR_BAD_PARAMETERS, String(error)),
  );
  count('refusals');
}
