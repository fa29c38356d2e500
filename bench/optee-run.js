/**
 * One run of `bench/optee.js`, in a process of its own, as a user's is: what an earlier run left in the caches of Node.js
 * and of the processor is not there.
 *
 *     node bench/optee-run.js linux|normalworld|sid|ffa SECONDS
 */
import { linuxFigures, prepareFigures } from './linux/figures.js';
import { normalworldFigures } from './optee-figures.js';
import { opteeOf } from './optee-sides.js';

const [, , side, seconds] = process.argv;
const figures =
  side === 'linux'
    ? await linuxFigures(await prepareFigures(() => undefined, Number(seconds)))
    : await normalworldFigures(await opteeOf(side), Number(seconds));
console.log(JSON.stringify(figures));
