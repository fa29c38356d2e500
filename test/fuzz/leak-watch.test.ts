import { expect, it } from 'vitest';
import { LeakWatch } from '../../src/fuzz/optee/leak-watch.js';
import { openTee } from '../../src/open-tee.js';
import { type SmcRegisters, smcRegisters } from '../../src/protocol/conduit.js';
import { OpteeSmc, OpteeSmcReturn } from '../../src/protocol/optee-smc.js';
import { SimulatedWorld } from '../../src/worlds/simulated/simulated-world.js';

/** A TEE whose notifications have a bottom half that ends when `finish` is called, and the watch over it. */
async function watched(answer: (registers: SmcRegisters) => SmcRegisters | undefined) {
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const world = new SimulatedWorld({ notificationDriver: { bottomHalf: () => finished } });
  const tee = await openTee({ world });
  const conduit = {
    smc: (registers: SmcRegisters) => answer(registers) ?? world.conduit.smc(registers),
  };
  return { world, tee, finish, watch: new LeakWatch(tee, conduit) };
}

it('does not take the bottom half of a notification for a thread that was not released', async () => {
  let asked = 0;
  const { world, tee, finish, watch } = await watched(({ a0 }) => {
    // The bottom half ends before the third question.
    if (a0 === OpteeSmc.disableShmCache && ++asked === 3) finish();
    return undefined;
  });
  await using _closing = tee;
  world.notify(0);
  while (world.threads.every(({ state }) => state === 'free')) await new Promise(setImmediate);
  expect(await watch.look()).toEqual([]);
  expect(asked).toBeGreaterThanOrEqual(3);
});

it('tells of a thread that no call uses', async () => {
  const { tee, watch } = await watched(({ a0 }) =>
    a0 === OpteeSmc.disableShmCache ? smcRegisters(OpteeSmcReturn.ebusy) : undefined,
  );
  await using _closing = tee;
  expect(await watch.look()).toMatchObject([{ kind: 'leak', signature: 'leak: thread' }]);
});
