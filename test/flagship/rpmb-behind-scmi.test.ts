import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { type DisciplineName, openTee, startSupplicant, temporary, value } from '../../src/index.js';
import { EmulatedEmmc, hmacSha256, MmcHost } from '../../src/rpmb/index.js';
import { ScmiAgent } from '../../src/scmi/index.js';
import {
  MemoryTaStore,
  RpmbStorageCommand,
  rpmbStorageTa,
  SimulatedClock,
  SimulatedRegulator,
  SimulatedWorld,
  scmiPta,
  seededRandom,
  simulatedTaImage,
} from '../../src/testing.js';

const clients = 6;
const writesOfEach = 5;

interface Board {
  readonly queue: DisciplineName;
  readonly abi: 'smc' | 'ffa';
  readonly route: 'kernel' | 'supplicant';
  readonly threads: number;
}

/**
 * The whole chain: a storage TA writes to the RPMB; its RPC goes to the eMMC, whose supply and clock are off between
 * accesses; switching them on is SCMI, whose server is in OP-TEE; and that call needs a thread of secure world.
 */
async function run({ queue, abi, route, threads }: Board) {
  const clock = new VirtualClock();
  const emmcClock = new SimulatedClock('emmc', [52_000_000]);
  const supply = new SimulatedRegulator('vmmc', { min: 1_800_000, max: 3_300_000, step: 100_000 });
  const storage = rpmbStorageTa({ hmac: hmacSha256, secret: new Uint8Array(32).fill(3), random: seededRandom(1) });
  const scmi = scmiPta({ clocks: [emmcClock], regulators: [supply] }, { channels: 2, computeMs: 0.05 });
  const world = new SimulatedWorld({ clock, abi, threads, trustedApplications: [storage, scmi] });

  const card = new EmulatedEmmc({ hmac: hmacSha256, powered: () => emmcClock.enabled && supply.enabled });
  let agent: ScmiAgent | undefined;
  const host = new MmcHost(card, {
    async on() {
      await agent?.voltages.enable(0);
      await agent?.clocks.enable(0);
    },
    async off() {
      await agent?.clocks.disable(0);
      await agent?.voltages.disable(0);
    },
  });
  const images = new MemoryTaStore();
  images.set(storage.uuid, simulatedTaImage(storage));
  const tee = await openTee({
    world,
    clock,
    queue,
    supplicant: false,
    ...(route === 'kernel' ? { rpmb: [host] } : {}),
  });
  startSupplicant(tee, { taStores: [images], ...(route === 'supplicant' ? { rpmb: [host] } : {}) });
  agent = await ScmiAgent.open(tee, { channels: { clock: 0, voltage: 1 } });

  let written = 0;
  const load = Array.from({ length: clients }, async (_, client) => {
    const session = await tee.openContext().openSession(storage.uuid);
    for (let round = 0; round < writesOfEach; round++) {
      const data = new Uint8Array(256).fill(16 * client + round);
      await session.invoke(RpmbStorageCommand.write, [value.input(client), temporary.input(data)]);
      written++;
    }
    const [, back] = await session.invoke(RpmbStorageCommand.read, [value.input(client), temporary.output(256)]);
    expect(back.every((byte) => byte === 16 * client + writesOfEach - 1)).toBe(true);
  });
  const all = Promise.allSettled(load);
  const end = await clock.run({ limitMs: 10_000 });
  return { agent, card, emmcClock, supply, tee, world, end, written, all };
}

const total = clients * writesOfEach;

describe('secure storage on an eMMC whose clock is behind SCMI in OP-TEE', () => {
  const finishes: readonly Board[] = [
    { queue: 'hand-off', abi: 'smc', route: 'kernel', threads: 2 },
    { queue: 'hand-off', abi: 'smc', route: 'supplicant', threads: 2 },
    { queue: 'hand-off', abi: 'smc', route: 'kernel', threads: 4 },
    { queue: 'hand-off', abi: 'ffa', route: 'kernel', threads: 2 },
    { queue: 'hand-off', abi: 'ffa', route: 'supplicant', threads: 3 },
    { queue: 'linux-6.8', abi: 'smc', route: 'kernel', threads: 3 },
  ];
  it.each(finishes)('finishes with $queue over $abi, routed by the $route, $threads threads', async (board) => {
    const { agent, card, emmcClock, supply, tee, world, written, all } = await run(board);
    expect(agent.system).toBe(true);
    for (const result of await all) expect(result.status).toBe('fulfilled');
    expect([written, card.writeCounter]).toEqual([total, total]);
    // Power is off between accesses, and after the last.
    expect([emmcClock.enabled, supply.enabled]).toEqual([false, false]);
    await tee.close();
    expect([tee.sharedMemoryInUse, world.sessionCount]).toEqual([0, 0]);
  });

  const deadlocks: readonly Board[] = [
    { queue: 'linux-6.7', abi: 'smc', route: 'kernel', threads: 3 },
    { queue: 'linux-6.8', abi: 'ffa', route: 'kernel', threads: 3 },
    { queue: 'patch-v6', abi: 'ffa', route: 'supplicant', threads: 3 },
  ];
  it.each(deadlocks)('deadlocks with $queue over $abi: no thread is reserved for SCMI', async (board) => {
    const { agent, tee, world, end, written } = await run(board);
    expect(agent.system).toBe(false);
    expect(end).toBe('quiet');
    expect(written).toBeLessThan(total);
    expect(world.threads.every(({ state }) => state === 'suspended')).toBe(true);
    const waits = tee.waiting().calls.map(({ waitsFor }) => waitsFor);
    expect(waits).toHaveLength(board.threads);
    expect(waits).toContain(board.route === 'kernel' ? 'the RPMB device: RPMB_FRAMES' : 'the supplicant: RPMB');
    await world[Symbol.asyncDispose]();
  });
});
