import { openTee, value } from '../dist/index.js';
import { smcRegisters } from '../dist/protocol/conduit.js';
import { Ffa, ffaVersion } from '../dist/protocol/ffa.js';
import { OpteeSmc } from '../dist/protocol/optee-smc.js';
import { QemuWorld } from '../dist/worlds/qemu/qemu-world.js';

const invokeTestsPta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
const sims = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';

const pta = { uuid: invokeTestsPta, command: 1, parameters: () => [value.inout(1)] };
const user = { uuid: osTest, command: 18, parameters: () => [value.output()] };
const wait = { uuid: osTest, command: 9, parameters: () => [value.input(10)] };

/**
 * Measure through normalworld what bench/linux/client.c measures: one boot, each measurement for `seconds` seconds.
 * @param folder the folder of OP-TEE.
 * @returns {Promise<Record<string, number>>}
 */
export async function normalworldFigures(folder, seconds) {
  const start = performance.now();
  const world = await QemuWorld.start({ optee: folder.image });
  const first = world.abi === 'ffa' ? smcRegisters(Ffa.version, ffaVersion.word) : smcRegisters(OpteeSmc.callsUid);
  await world.conduit.smc(first);
  const firstSmcMs = performance.now() - start;
  const tee = await openTee({ world, taFolders: [folder.trustedApplications] });
  const context = tee.openContext();
  const session = await context.openSession(osTest);
  await session.invoke(user.command, user.parameters());
  const firstUserTaInvokeMs = performance.now() - start;

  const rate = async (what, clients) => (await runClients(tee, clients, what, seconds)).length / seconds;
  const ptaInvokesPerSecond = await rate(pta, 1);
  const userTaInvokesPerSecond = await rate(user, 1);
  const ptaInvokesPerSecond4 = await rate(pta, 4);
  const userTaInvokesPerSecond4 = await rate(user, 4);
  const openClosePerSecond = await openAndClose(context, seconds);
  const latencies = (await runClients(tee, 8, wait, 2 * seconds)).sort((a, b) => a - b);
  await tee.close();
  return {
    firstSmcMs,
    firstUserTaInvokeMs,
    ptaInvokesPerSecond,
    userTaInvokesPerSecond,
    ptaInvokesPerSecond4,
    userTaInvokesPerSecond4,
    openClosePerSecond,
    waitP50Ms: latencies[Math.floor(latencies.length * 0.5)],
    waitP99Ms: latencies[Math.floor(latencies.length * 0.99)],
    waitMaxMs: latencies.at(-1),
  };
}

/** Each client has a context and a session of its own. @returns the latency of each call, in milliseconds. */
async function runClients(tee, count, { uuid, command, parameters }, seconds) {
  const contexts = Array.from({ length: count }, () => tee.openContext());
  const sessions = [];
  for (const context of contexts) sessions.push(await context.openSession(uuid));
  const end = performance.now() + seconds * 1000;
  const latencies = [];
  await Promise.all(
    sessions.map(async (session) => {
      for (let begin = performance.now(); begin < end; ) {
        await session.invoke(command, parameters());
        const now = performance.now();
        latencies.push(now - begin);
        begin = now;
      }
    }),
  );
  for (const context of contexts) await context.close();
  return latencies;
}

async function openAndClose(context, seconds) {
  const loaded = await context.openSession(sims);
  const end = performance.now() + seconds * 1000;
  let pairs = 0;
  for (; performance.now() < end; pairs++) {
    const session = await context.openSession(sims);
    await session.close();
  }
  await loaded.close();
  return pairs / seconds;
}
