/**
 * Explores every configuration of src/explore/queue/model/configurations.ts under every discipline. For each property
 * it prints in how many configurations of each group it is violated. `node bench/explore-all.js [--json] [--group NAME]
 * [--max-states N]`: only one group; at most N states per exploration (20 million when left out).
 */
import { parseArgs } from 'node:util';

import { configurations } from '../dist/explore/queue/model/configurations.js';
import { PROPERTY_NAMES } from '../dist/explore/queue/properties/properties.js';
import { DISCIPLINES } from '../dist/optee/call-queue/disciplines.js';
import { campaign } from './campaign.js';

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, group: { type: 'string' }, 'max-states': { type: 'string' } },
});
const ALL_GROUPS = ['tracked', 'untracked', 'short', 'cycle', 'own'];
const GROUPS = options.group === undefined ? ALL_GROUPS : ALL_GROUPS.filter((group) => group === options.group);
if (GROUPS.length === 0) throw new Error(`there is no group ${options.group}, only ${ALL_GROUPS.join(', ')}`);
const maxStates = Number(options['max-states'] ?? 20_000_000);
if (!(Number.isInteger(maxStates) && maxStates > 0)) throw new Error(`--max-states ${options['max-states']}`);
const all = configurations().filter(({ group }) => GROUPS.includes(group));
const disciplines = Object.keys(DISCIPLINES);
const sizes = GROUPS.map((group) => all.filter((each) => each.group === group).length);
const start = performance.now();

const results = await campaign(all, disciplines, {
  maxStates,
  progress(done, of, states) {
    if (process.stderr.isTTY) process.stderr.write(`\x1b[2K\r${done} of ${of}, ${states.toLocaleString('en')} states`);
  },
});
if (process.stderr.isTTY) process.stderr.write('\x1b[2K\r');

const seconds = (performance.now() - start) / 1000;
const states = results.reduce((sum, result) => sum + result.states, 0);
const bounded = results.filter(({ bound }) => bound !== null);

/** Number of configurations of each group that violate the property. */
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

if (options.json) {
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
