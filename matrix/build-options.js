import { parseBuildVariable } from '../dist/optee-build/build-options.js';

/** Parse the options of a build in the syntax of `normalworld optee build`. */
export function optionsOf(args) {
  const options = { suite: 'sid', reservedShm: true, dynamicShm: true, set: [] };
  for (let at = 0; at < args.length; at++) {
    const flag = args[at];
    if (flag === '--set') options.set.push(parseBuildVariable(args[++at]));
    else if (flag === '--threads' || flag === '--cores') options[flag.slice(2)] = Number(args[++at]);
    else if (flag === '--no-reserved-shm') options.reservedShm = false;
    else if (flag === '--no-dynamic-shm') options.dynamicShm = false;
    else options[flag.slice(2)] = true;
  }
  return options;
}
