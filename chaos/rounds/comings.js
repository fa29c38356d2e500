import { openTee, value } from '../../dist/index.js';
import { applications, command } from '../applications.js';
import { absurd } from '../draws.js';
import { collected } from '../invariants.js';
import { limitMs } from './simulated.js';

/** Number of clients in a round; the first few fill caches. */
const clients = 200;
const warmUp = 20;

/**
 * Memory that all these clients may leave behind, in bytes: less than 100 KiB each, including garbage that has not been
 * collected.
 */
const mayBeKept = 16 * 1024 * 1024;

/**
 * A round without faults: many clients come one after the other, make a few calls each, and must leave no resources
 * behind.
 */
export async function comingsRound({ draws, findings }) {
  const apps = applications();
  const tee = await openTee({ trustedApplications: apps.all, supplicant: { onError: () => {} } });
  try {
    for (let number = 0; number < warmUp; number++) await comeAndGo(tee, apps, draws, findings);
    const before = await collected();
    for (let number = warmUp; number < clients; number++) await comeAndGo(tee, apps, draws, findings);
    const after = await collected();
    const kept = after.heapUsed + after.external - before.heapUsed - before.external;
    findings.check(
      kept < mayBeKept,
      () => `${clients - warmUp} clients that have gone left ${(kept / 2 ** 20).toFixed(1)} MiB behind`,
    );
    findings.count('clients that came and went', clients);
  } finally {
    await findings.inTime('closing the TEE', limitMs, tee.close(), () => JSON.stringify(tee.waiting()));
  }
}

async function comeAndGo(tee, apps, draws, findings) {
  const context = tee.openContext();
  const session = await context.openSession(draws.of([apps.pseudo.uuid, apps.user.uuid]));
  const add = draws.upTo(2 ** 32);
  const [sum] = await session.invoke(command.sum, [value.inout(add, 0)]);
  findings.check(sum.a === add, () => `the sum of a new session is ${sum.a}, and ${add} is right`);
  const memory = await context.allocateSharedMemory(1 + draws.upTo(70_000));
  await memory[Symbol.asyncDispose]();
  // Absurd sizes must be refused at once, without an allocation.
  const { result } = await findings.mayFail('absurd memory', () =>
    context.allocateSharedMemory(draws.of(absurd.filter((each) => each > 2 ** 26))),
  );
  findings.check(result === undefined, 'there was shared memory of a size that no memory here has');
  await (draws.chance(0.2) ? context.kill() : context.close());
}
