/**
 * One run of `bench/optee.js`, in a process of its own, as a user's is: what an earlier run left in the caches of Node.js
 * and of the processor is not there.
 *
 *     node bench/optee-run.js linux|linuxHandOff|normalworld SECONDS [OPTEE.KO]
 */
import { linuxFigures, prepareFigures } from './linux/figures.js';
import { normalworldFigures } from './optee-figures.js';

const [, , side, seconds, handOff] = process.argv;
const figures =
  side === 'normalworld'
    ? await normalworldFigures(Number(seconds))
    : await linuxFigures(
        await prepareFigures(() => undefined, Number(seconds), side === 'linuxHandOff' ? handOff : undefined),
      );
console.log(JSON.stringify(figures));
