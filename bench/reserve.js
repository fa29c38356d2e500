/**
 * The cost for other calls of a thread kept for relief calls (`reserve`), and its benefit for a cancellation, in
 * virtual time, so that the figures are the same on every machine. Eight clients make calls that hold a thread for 1 to
 * 3 ms, and one client cancels a waiting call.
 */
import { fileURLToPath } from 'node:url';
import { openTee, trustedApplication, value } from '../dist/index.js';
import { seededRandom, VirtualClock } from '../dist/testing.js';

const clients = 8;
const callsAClient = 500;
const cancellations = 50;

/** Holds its thread for value[0].a microseconds. */
const bulk = trustedApplication({
  uuid: 'c0ffee00-0000-4000-8000-000000000003',
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    async invokeCommand(call) {
      await call.compute(call.value(0).a / 1000);
    },
  }),
});

/** Waits until it is cancelled, and checks every millisecond. */
const waiting = trustedApplication({
  uuid: 'c0ffee00-0000-4000-8000-000000000004',
  kind: 'user',
  create: () => ({
    async invokeCommand(call) {
      call.unmaskCancellation();
      for (;;) await call.wait(1);
    },
  }),
});

async function run(threads, reserve) {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const tee = await openTee({ clock, reserve, simulated: { threads }, trustedApplications: [bulk, waiting] });
  const context = tee.openContext();
  const sessions = [];
  while (sessions.length < clients) sessions.push(await context.openSession(bulk.uuid));
  const waiter = await context.openSession(waiting.uuid);

  const start = clock.now();
  const load = async (session) => {
    for (let call = 0; call < callsAClient; call++)
      await session.invoke(0, [value.input(1000 + Math.floor(random() * 2000))]);
  };
  const loads = Promise.all(sessions.map(load));
  await clock.run();
  await loads;
  const callsPerSecond = (clients * callsAClient * 1000) / (clock.now() - start);

  const taken = [];
  let done = false;
  const busy = async (session) => {
    while (!done) await session.invoke(0, [value.input(1000 + Math.floor(random() * 2000))]);
  };
  const cancel = async () => {
    for (let time = 0; time < cancellations; time++) {
      const controller = new AbortController();
      let cancelled = 0;
      clock.setTimer(50, () => {
        cancelled = clock.now();
        controller.abort();
      });
      await waiter.invoke(0, [], { signal: controller.signal }).catch(() => undefined);
      taken.push(clock.now() - cancelled);
    }
    done = true;
  };
  const all = Promise.all([...sessions.map(busy), cancel()]);
  await clock.run();
  await all;
  await tee.close();
  taken.sort((a, b) => a - b);
  return { callsPerSecond, cancelP99Ms: taken[Math.ceil(0.99 * taken.length) - 1] };
}

const round = (figure) => Math.round(figure * 100) / 100;

/**
 * @returns {Promise<{ threads: number, without: number, with: number, ratio: number, cancelP99MsWithout: number,
 * cancelP99MsWith: number }[]>} calls per second of all clients together, and the time from a cancellation to the end
 * of its call.
 */
export async function benchReserve() {
  const rows = [];
  for (const threads of [2, 4, 8]) {
    const without = await run(threads, false);
    const kept = await run(threads, true);
    rows.push({
      threads,
      without: Math.round(without.callsPerSecond),
      with: Math.round(kept.callsPerSecond),
      ratio: round(kept.callsPerSecond / without.callsPerSecond),
      cancelP99MsWithout: round(without.cancelP99Ms),
      cancelP99MsWith: round(kept.cancelP99Ms),
    });
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchReserve());
