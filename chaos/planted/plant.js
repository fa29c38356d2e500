/**
 * `node --import ./chaos/planted/plant.js`: plants the defect named in PLANTED into the process before other code runs.
 */
import { defects } from './defects.js';

const name = process.env.PLANTED;
const defect = defects.find((each) => each.name === name);
const original = defect?.of.prototype[defect.method];
if (typeof original !== 'function') {
  console.error(
    defect === undefined
      ? `there is no defect "${name}"; allowed: ${defects.map((each) => each.name).join(', ')}`
      : `${name}: ${defect.of.name} has no method ${defect.method} any more`,
  );
  process.exit(3);
}
defect.of.prototype[defect.method] = defect.by(original);
