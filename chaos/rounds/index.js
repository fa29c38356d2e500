import { missingForQemu } from '../../dist/index.js';
import { comingsRound } from './comings.js';
import { opteeRound } from './optee.js';
import { servedRound } from './served.js';
import { simulatedRound } from './simulated.js';

/** The kinds of rounds with their frequencies, and the reasons why some cannot run here. */
export async function roundsHere(worlds) {
  const missing = worlds.includes('optee') ? await missingForQemu() : 'not wanted';
  const rounds = [];
  if (worlds.includes('simulated'))
    rounds.push(
      { name: 'simulated', weight: 6, run: simulatedRound },
      { name: 'served', weight: 2, run: servedRound },
      { name: 'comings', weight: 1, run: comingsRound },
    );
  if (missing === undefined) rounds.push({ name: 'optee', weight: 1, run: opteeRound });
  return { rounds, missing: worlds.includes('optee') ? missing : undefined };
}
