import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTee, startSupplicant, value } from '../../dist/index.js';
import { FolderFileSystem } from '../../dist/supplicant/node/folder-file-system.js';
import { nodeSockets } from '../../dist/supplicant/node/node-sockets.js';
import { MemoryFileSystem, MemoryTaStore, simulatedTaImage } from '../../dist/testing.js';
import { Actor } from '../actors.js';
import { applications, command, pluginUuid } from '../applications.js';
import { echoServer } from '../faults/echo-server.js';
import { failing, failingFiles, failingPlugin, failingSockets } from '../faults/supplicant.js';
import { openBelow } from '../invariants.js';
import { Witness } from '../witness.js';

/** Memory that a thread of secure world caches after its first requests, for names and blocks of files. Bytes. */
const keptByThreads = 128 * 1024;

/** Time limit for operations that take milliseconds on an idle machine. Milliseconds. */
export const limitMs = 60_000;

/** A round on the simulated world: open it, inject faults for a while, check that all guarantees hold, close it. */
export async function simulatedRound({ draws, findings }) {
  const apps = applications();
  const folder = draws.chance(0.5) ? mkdtempSync(join(tmpdir(), 'storage-')) : undefined;
  const fileSystem = folder === undefined ? new MemoryFileSystem() : new FolderFileSystem(folder);
  const echo = await echoServer(draws.fork());
  const threads = 1 + draws.upTo(4);
  // Use the default queue: Linux's queues lose wake-ups, which is a known finding (docs/findings.md).
  const tee = await openTee({
    trustedApplications: apps.all,
    simulated: {
      threads,
      abi: draws.chance(0.2) ? 'ffa' : 'smc',
      ...(draws.chance(0.2) ? { reservedShm: false } : {}),
    },
    supplicant: false,
  });
  const settings = supplicantSettings({ apps, draws, findings, fileSystem });
  let over = false;
  let question = 0;
  const world = {
    ...{ apps, findings, echo, tee: () => tee, over: () => over, nextQuestion: () => ++question, sleepers: 0, threads },
  };
  /** Supplicants that detached without waiting for their services, which may still be running. */
  const gone = [];
  let supplicant = startSupplicant(tee, settings.calm());
  try {
    const witness = new Witness(findings, draws.fork());
    await witness.open(tee, [apps.pseudo.uuid, apps.user.uuid, apps.pseudo.uuid]);
    await warmUp(tee, apps);
    const before = tee.sharedMemoryInUse;
    const witnessing = witness.run();
    await supplicant[Symbol.asyncDispose]();
    supplicant = startSupplicant(tee, settings.wild());
    const actors = Array.from({ length: 2 + draws.upTo(4) }, (_, number) => new Actor(world, draws.fork(), number));
    const acting = Promise.all(actors.map((actor) => actor.run(6)));
    // A dead client's resources in the supplicant are released when the supplicant exits; in some rounds it stays.
    const leaving = draws.chance(0.6) ? leaveAndComeBack(draws.fork()) : undefined;
    const ended = await findings.inTime('what the actors do', limitMs, acting, () => JSON.stringify(tee.waiting()));
    over = true;
    await leaving;
    await findings.inTime('the last to die', limitMs, Promise.all(actors.map((actor) => actor.dieWithFile())));
    witness.stopped = true;
    if (!ended || !(await findings.inTime('the witness', limitMs, witnessing))) return;
    // With the supplicant gone, only the lock may remain open.
    if (folder !== undefined) {
      await findings.checkSoon(
        () => openBelow(folder).length === 1,
        () => `files of secure world are open that nobody uses: ${openBelow(folder).join(', ')}`,
        limitMs,
      );
    }
    await supplicant[Symbol.asyncDispose]();
    supplicant = startSupplicant(tee, settings.calm());
    const context = tee.openContext();
    const session = await context.openSession(apps.pseudo.uuid);
    for (const actor of actors) await actor.verifyAll(session);
    if (!(await findings.inTime('all threads at once', limitMs, allThreads(context, apps, threads)))) return;
    await context.close();
    await findings.checkSoon(
      () => tee.sharedMemoryInUse - before <= keptByThreads * threads,
      () => `${tee.sharedMemoryInUse - before} bytes of shared memory were not released by clients that have gone`,
    );
    const waiting = tee.waiting();
    findings.check(
      waiting.calls.length + waiting.supplicantRequests.length + waiting.notifications.length === 0,
      () => `something still waits: ${JSON.stringify(waiting)}`,
    );
    await witness.close();
  } finally {
    over = true;
    // Memory that a service uses when its world ends stays allocated and would be reported as a leak.
    const services = Promise.all([supplicant, ...gone].map((each) => each[Symbol.asyncDispose]()));
    await findings.inTime('services of supplicants that left', limitMs, services);
    await findings.inTime('closing the TEE', limitMs, tee.close(), () => JSON.stringify(tee.waiting()));
    await findings.checkSoon(
      () => tee.sharedMemoryInUse === 0,
      () => `${tee.sharedMemoryInUse} bytes of shared memory are in use after the TEE was closed`,
    );
    await echo.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }

  async function leaveAndComeBack(draws) {
    while (!over) {
      await new Promise((resolve) => setTimeout(resolve, 20 + draws.upTo(150)));
      if (over || draws.chance(0.5)) continue;
      findings.count('supplicants that left');
      if (draws.chance(0.5)) await supplicant[Symbol.asyncDispose]();
      else {
        gone.push(supplicant);
        supplicant[Symbol.dispose]();
      }
      supplicant = startSupplicant(tee, settings.wild());
    }
  }
}

/** Make concurrent calls, so that the memory for messages, which is kept, is allocated. */
async function warmUp(tee, apps) {
  const context = tee.openContext();
  const session = await context.openSession(apps.pseudo.uuid);
  await Promise.all(Array.from({ length: 100 }, () => session.invoke(command.sum, [value.inout(1, 0)])));
  await context.close();
}

/** Make as many concurrent calls as there are threads, to check that no thread was lost. */
async function allThreads(context, apps, threads) {
  apps.gate.wanted = threads;
  // A session has at most one call in secure world at a time.
  const sessions = await Promise.all(Array.from({ length: threads }, () => context.openSession(apps.pseudo.uuid)));
  await Promise.all(sessions.map((session) => session.invoke(command.gate)));
}

function supplicantSettings({ apps, draws, findings, fileSystem }) {
  const images = new MemoryTaStore();
  images.set(apps.user.uuid, simulatedTaImage(apps.user));
  const struck = (what) => findings.count(`faults: ${what}`);
  return {
    calm: () => ({ taStores: [images], fileSystem, onError: () => {} }),
    wild: () => {
      const own = draws.fork();
      const faults = (share) => ({ share, onFault: struck });
      return {
        taStores: [failing(new MemoryTaStore(), own, faults(0.2)), images],
        fileSystem: failingFiles(fileSystem, own, faults(0.05)),
        sockets: failingSockets(nodeSockets, own, faults(0.05)),
        plugins: [failingPlugin(pluginUuid, own), failingPlugin('00000001-0000-0002-0000-000300000004', own)],
        services: new Map([[77, failingPlugin(pluginUuid, own).invoke]]),
        onError: () => findings.count('failures that were told'),
      };
    },
  };
}
