import { temporary, value } from '../client/parameters.js';
import type { Tee } from '../client/tee.js';
import { machineClock, sleep } from '../clock/clock.js';
import { type Random, seededRandom } from '../clock/random.js';
import { openTee } from '../open-tee.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { WaitingCall } from '../optee/unfinished-calls.js';
import { drawTime } from '../scenario/duration.js';
import { ScmiAgent } from '../scmi/index.js';
import { QemuWorld } from '../worlds/qemu/qemu-world.js';
import { PoweredCard } from './powered-card.js';
import type { RealWorkload, StorageClients } from './real-workload.js';

/** The storage application of xtest (ta/storage of OP-TEE/optee_test), and its commands. */
const storageTa = 'b689f2a7-8adf-477a-9f99-32e90c0ad0a2';
const storageCommand = { close: 1, create: 4 } as const;
/** TEE_STORAGE_PRIVATE_RPMB, and the flags for creating an object: read, write, write-metadata, overwrite. */
const storageRpmb = 0x8000_0100;
const createFlags = 0x1 | 0x2 | 0x4 | 0x400;
const objectSize = 256;

/** Milliseconds between two checks for a standstill, and the number of consecutive checks that confirm one. */
const lookIntervalMs = 50;
const stillLooks = 20;

export interface RealRunOptions {
  readonly queue: DisciplineName;
  /** The agent requests system sessions. */
  readonly system: boolean;
  readonly optee: string;
  readonly taFolder: string;
  readonly seed: number;
  /** Limit of a run in milliseconds. */
  readonly limitMs: number;
}

export interface RealRun {
  readonly queue: DisciplineName;
  readonly abi: 'smc' | 'ffa';
  readonly system: { readonly asked: boolean; readonly granted: boolean };
  readonly outcome: 'finished' | 'deadlock' | 'too slow';
  /** For a deadlock: the calls that hold a thread of secure world with the reason, and the calls that wait for one. */
  readonly waits: readonly string[];
  /** The number of objects written, and of accesses to the card. */
  readonly written: number;
  readonly accesses: number;
  readonly milliseconds: number;
}

/** Boot OP-TEE, run the workload under a discipline, and return the outcome. */
export async function runOnOptee(workload: RealWorkload, options: RealRunOptions): Promise<RealRun> {
  const { queue, system, optee, taFolder, seed, limitMs } = options;
  const started = performance.now();
  const card = new PoweredCard(machineClock, workload.access);
  // One CPU, so that the order of execution does not depend on the host.
  const world = await QemuWorld.start({ optee, cpus: 1 });
  const tee = await openTee({
    world,
    queue,
    taFolders: [taFolder],
    rpmb: [card.host],
    supplicant: { rpmb: [card.host] },
  });
  const agent = await ScmiAgent.open(tee, {
    system,
    transport: workload.transport,
    channels: { clock: 0, voltage: 1 },
  });
  await card.connect(agent, workload.needs);

  const progress = { written: 0, opened: 0 };
  const random = seededRandom(seed);
  const load = workload.clients.flatMap((client) =>
    Array.from({ length: client.count }, (_, index) => storageClient(tee, client, index, random, progress)),
  );
  let done = false;
  let failure: unknown;
  const all = Promise.all(load).then(
    () => {
      done = true;
    },
    (error: unknown) => {
      failure ??= error;
      done = true;
    },
  );
  let still = 0;
  let before = '';
  while (!done && still < stillLooks && performance.now() - started < limitMs) {
    await Promise.race([all, sleep(machineClock, lookIntervalMs)]);
    const now = JSON.stringify([
      progress,
      card.begun,
      card.done,
      tee.waiting().calls.map(({ call, since }) => [call, since]),
    ]);
    still = now === before && standsStill(tee) ? still + 1 : 0;
    before = now;
  }
  const outcome = done ? 'finished' : still >= stillLooks ? 'deadlock' : 'too slow';
  const waits = outcome === 'finished' ? [] : waitsOf(tee);
  const run: RealRun = {
    ...{ queue, abi: world.abi, system: { asked: system, granted: agent.system }, outcome, waits },
    ...{ written: progress.written, accesses: card.done, milliseconds: performance.now() - started },
  };
  if (outcome !== 'finished' || failure !== undefined) {
    // The calls of a deadlock never return. They end with an error when the world ends.
    await world[Symbol.asyncDispose]();
    await Promise.allSettled([all, tee.close()]);
    if (failure !== undefined && outcome === 'finished') throw failure;
    return run;
  }
  await agent[Symbol.asyncDispose]();
  await tee.close();
  return { ...run, milliseconds: performance.now() - started };
}

async function storageClient(
  tee: Tee,
  { name, repeat, start, steps }: StorageClients,
  index: number,
  random: Random,
  progress: { written: number; opened: number },
): Promise<void> {
  await sleep(machineClock, drawTime(start, random));
  const session = await tee.openContext({ label: `${name} ${index + 1}` }).openSession(storageTa);
  progress.opened++;
  const object = new TextEncoder().encode(`${name} ${index + 1}`);
  for (let round = 0; round < repeat; round++)
    for (const step of steps) {
      if (step.step === 'wait') {
        await sleep(machineClock, drawTime(step.time, random));
        continue;
      }
      const [, { b: handle }] = await session.invoke(storageCommand.create, [
        temporary.input(object),
        value.inout(createFlags),
        value.input(0, storageRpmb),
        temporary.input(new Uint8Array(objectSize).fill(round)),
      ]);
      await session.invoke(storageCommand.close, [value.input(handle)]);
      progress.written++;
    }
  await session.close();
}

/**
 * Whether every call in progress waits: in secure world, for an answer of the normal world, or in the queue for a
 * thread.
 */
function standsStill(tee: Tee): boolean {
  const { calls } = tee.waiting();
  return calls.length > 0 && asleep(tee).length > 0;
}

function asleep(tee: Tee): readonly number[] {
  return [...new Set(Object.values(tee.queueState().lists).flatMap((list) => list.map(({ label }) => label)))];
}

function waitsOf(tee: Tee): string[] {
  const holders = tee
    .waiting()
    .calls.map(
      ({ context, waitsFor }: WaitingCall) => `${context} holds a thread of secure world and waits for ${waitsFor}`,
    );
  const sleepers = asleep(tee).length;
  return [...holders, `${sleepers} ${sleepers === 1 ? 'call sleeps' : 'calls sleep'} in the queue for a thread`];
}
