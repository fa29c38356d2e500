/**
 * One run of `bench/optee.js` in a process of its own, so that caches of Node.js and of the processor do not contain
 * anything of an earlier run.
 *
 * node bench/optee-run.js linux|linuxHandOff|normalworld|sid|ffa SECONDS [OPTEE.KO]
 */
import { linuxFigures, prepareFigures } from './linux/figures.js';
import { normalworldFigures } from './optee-figures.js';
import { opteeOf } from './optee-sides.js';

const [, , side, seconds, driver] = process.argv;
const linux = async (optee) => linuxFigures(await prepareFigures(() => undefined, Number(seconds), optee));
const figures =
  side === 'linux'
    ? await linux(undefined)
    : side === 'linuxHandOff'
      ? await linux(driver)
      : await normalworldFigures(await opteeOf(side), Number(seconds));
console.log(JSON.stringify(figures));
