/**
 * Explores every configuration of src/explore/queue/model/configurations.ts under every discipline and prints, for each property,
 * in how many configurations of each group it is broken. `node bench/explore-all.js [--json]`.
 */

import { configurations } from '../dist/explore/queue/model/configurations.js';
import { PROPERTY_NAMES } from '../dist/explore/queue/properties/properties.js';
import { DISCIPLINES } from '../dist/optee/call-queue/disciplines.js';
import { campaign } from './campaign.js';

const GROUPS = ['tracked', 'untracked', 'short', 'cycle', 'own'];
const all = configurations();
const disciplines = Object.keys(DISCIPLINES);
const sizes = GROUPS.map((group) => all.filter((each) => each.group === group).length);
const start = performance.now();

const results = await campaign(all, disciplines, {
  progress(done, of, states) {
    if (process.stderr.isTTY) process.stderr.write(`\x1b[2K\r${done} of ${of}, ${states.toLocaleString('en')} states`);
  },
});
if (process.stderr.isTTY) process.stderr.write('\x1b[2K\r');

const seconds = (performance.now() - start) / 1000;
const states = results.reduce((sum, result) => sum + result.states, 0);
const bounded = results.filter(({ bound }) => bound !== null);

/** How many configurations of each group break the property. */
const broken = (discipline, name) =>
  GROUPS.map(
    (group) =>
      results.filter(
        (result) =>
          result.discipline === discipline &&
          result.configuration.group === group &&
          result.properties[name].verdict === 'broken',
      ).length,
  );

if (process.argv.includes('--json')) {
  const properties = Object.fromEntries(
    PROPERTY_NAMES.map((name) => [name, Object.fromEntries(disciplines.map((each) => [each, broken(each, name)]))]),
  );
  console.log(JSON.stringify({ groups: GROUPS, sizes, states, seconds, bounded: bounded.length, properties }));
} else {
  console.log(`configurations ${GROUPS.join(' / ')}: ${sizes.join(' / ')}; broken in how many of each:`);
  console.table(
    Object.fromEntries(
      PROPERTY_NAMES.map((name) => [
        name,
        Object.fromEntries(disciplines.map((each) => [each, broken(each, name).join(' / ')])),
      ]),
    ),
  );
  console.log(`${results.length} explorations, ${states.toLocaleString('en')} states, ${seconds.toFixed(0)} s`);
  for (const { discipline, configuration } of bounded) console.log('bounded:', discipline, configuration);
}
