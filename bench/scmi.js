/**
 * The latency of an SCMI clock request beside 64 clients with bulk calls, under each discipline, in virtual time, so
 * that the figures are the same on every machine. There are four threads; a bulk call holds one for 1 to 3 ms, the SCMI
 * service for 50 us.
 */
import { fileURLToPath } from 'node:url';
import { DISCIPLINES, openTee, trustedApplication, value } from '../dist/index.js';
import { ScmiAgent } from '../dist/scmi/index.js';
import { SimulatedClock, scmiPta, seededRandom, VirtualClock } from '../dist/testing.js';

const bulkClients = 64;
const threads = 4;
const requests = 1000;
const pauseMs = 5;

/** Holds its thread for value[0].a microseconds. */
const bulk = trustedApplication({
  uuid: 'c0ffee00-0000-4000-8000-000000000002',
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    async invokeCommand(call) {
      await call.compute(call.value(0).a / 1000);
    },
  }),
});

async function run(queue) {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const platform = { clocks: [new SimulatedClock('emmc', [400_000])] };
  const tee = await openTee({
    clock,
    queue,
    simulated: { threads },
    trustedApplications: [bulk, scmiPta(platform, { computeMs: 0.05 })],
  });
  const sessions = [];
  while (sessions.length < bulkClients) sessions.push(await tee.openContext().openSession(bulk.uuid));
  const agent = await ScmiAgent.open(tee);
  const taken = [];
  let done = false;
  const load = async (session) => {
    while (!done) await session.invoke(0, [value.input(1000 + Math.floor(random() * 2000))]);
  };
  const ask = async () => {
    for (let request = 0; request < requests; request++) {
      const start = clock.now();
      await agent.clocks.enable(0);
      taken.push(clock.now() - start);
      await new Promise((resolve) => clock.setTimer(pauseMs * random(), resolve));
    }
    done = true;
  };
  const all = Promise.all([...sessions.map(load), ask()]);
  await clock.run();
  await all;
  await tee.close();
  taken.sort((a, b) => a - b);
  const at = (share) => taken[Math.ceil(share * taken.length) - 1];
  const ms = (time) => Math.round(time * 1000) / 1000;
  return { queue, system: agent.system, p50Ms: ms(at(0.5)), p99Ms: ms(at(0.99)), maxMs: ms(at(1)) };
}

/** @returns {Promise<{ queue: string, system: boolean, p50Ms: number, p99Ms: number, maxMs: number }[]>} */
export async function benchScmi() {
  const rows = [];
  for (const queue of Object.keys(DISCIPLINES)) rows.push(await run(queue));
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchScmi());
