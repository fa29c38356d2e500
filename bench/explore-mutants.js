/**
 * Applies one mutation at a time to hand-off, under each of its policies, and shows that the explorer detects it. A
 * mutant is caught if, in some configuration, it violates a property that the original satisfies.
 *
 * `node bench/explore-mutants.js`; exits with 1 if a mutant survives under one of the policies.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { explore } from '../dist/explore/queue/explore.js';
import { configurations, underDiscipline } from '../dist/explore/queue/model/configurations.js';
import { PROPERTY_NAMES } from '../dist/explore/queue/properties/properties.js';
import { compiled, mutate } from './mutants/mutate.js';
import { QUEUE_MUTANTS } from './mutants/queue-mutants.js';

const FILE = 'src/optee/call-queue/hand-off.ts';
const SOURCE = new URL(`../${FILE}`, import.meta.url);
const COMPILED = new URL('../dist/optee/call-queue/hand-off.js', import.meta.url);

/** The disciplines that use the hand-off queue, by policy. */
export const POLICIES = { 'hand-off': 'one-in-all', 'hand-off-a': 'always-free', 'hand-off-c': 'one-a-session' };

/** The hand-off class with one place changed. */
export async function mutantClass(mutant) {
  const changed = compiled(mutate(readFileSync(fileURLToPath(SOURCE), 'utf8'), mutant, FILE))
    // Load it as a separate module, with absolute imports.
    .replaceAll(/from '(\.[^']+)'/g, (_, path) => `from '${new URL(path, COMPILED).href}'`);
  const module = await import(`data:text/javascript,${encodeURIComponent(changed)}`);
  return module.HandOffCallQueue;
}

/**
 * The first configuration and property that distinguish a mutant from the original discipline; undefined if it
 * survives.
 * @param discipline one of `POLICIES`.
 * @param workloads the result of `mutantWorkloads` for that discipline.
 */
export async function caughtBy(HandOff, discipline, workloads) {
  for (const { configuration, broken } of workloads) {
    const createQueue = () => new HandOff(configuration.threads, POLICIES[discipline], configuration.reserve === true);
    const { properties } = await explore(underDiscipline(configuration, discipline), {
      createQueue,
      maxStates: 50_000,
      workers: 1,
    });
    const name = PROPERTY_NAMES.find((each) => properties[each].verdict === 'broken' && !broken.has(each));
    if (name !== undefined) return { configuration, property: name, steps: properties[name].steps };
  }
  return undefined;
}

/** The configurations for mutants, smallest first, each with the properties that the original discipline violates. */
export async function mutantWorkloads(discipline) {
  // In addition: a secure world without any thread, because a caller must not sleep if no other can wake it; and three
  // real threads of four announced, with more callers, so that old answers are distinguished from new ones.
  const more = [
    { group: 'short', threads: 1, secureThreads: 0, reservations: 0, callers: 'N' },
    { group: 'short', threads: 4, secureThreads: 3, reservations: 0, callers: '4*N' },
    { group: 'untracked', threads: 0, secureThreads: 2, reservations: 0, callers: 'N,M+S' },
    { group: 'tracked', threads: 2, secureThreads: 2, reservations: 0, callers: 'M+S+C,S' },
  ];
  const explored = [];
  for (const configuration of [...more, ...configurations()]) {
    const { states, properties, bound } = await explore(underDiscipline(configuration, discipline), {
      maxStates: 4_000,
      workers: 1,
    });
    if (bound !== null) continue;
    const broken = new Set(PROPERTY_NAMES.filter((name) => properties[name].verdict === 'broken'));
    explored.push({ configuration, states, broken });
  }
  return explored.sort((one, other) => one.states - other.states);
}

/** All mutants under all policies, each with how it was caught, or undefined. */
export async function* queueMutants(word = '') {
  const workloads = new Map();
  for (const discipline of Object.keys(POLICIES)) workloads.set(discipline, await mutantWorkloads(discipline));
  for (const mutant of QUEUE_MUTANTS.filter(({ what }) => what.includes(word))) {
    const HandOff = await mutantClass(mutant);
    const caught = {};
    for (const [discipline, each] of workloads)
      caught[discipline] = mutant.explained === undefined ? await caughtBy(HandOff, discipline, each) : undefined;
    yield { mutant, caught };
  }
}

/** The command that reproduces the result with a build of the mutant. */
export function commandOf(discipline, { threads, secureThreads, reservations, callers, reserve = false }) {
  return `explore --queue ${discipline} --threads ${threads} --secure-threads ${secureThreads} --reservations ${reservations} --callers '${callers}'${reserve ? ' --reserve' : ''}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let alive = 0;
  let all = 0;
  for await (const { mutant, caught } of queueMutants()) {
    const by = Object.entries(caught);
    console.log(mutant.what);
    if (mutant.explained !== undefined) {
      console.log(`  no defect: ${mutant.explained}`);
      continue;
    }
    all += by.length;
    for (const [discipline, how] of by) {
      if (how === undefined) alive++;
      const what =
        how === undefined
          ? 'ALIVE'
          : `${how.property} in ${how.steps} steps: ${commandOf(discipline, how.configuration)}`;
      console.log(`  ${discipline.padEnd(11)} ${what}`);
    }
  }
  console.log(`${all - alive} of ${all} mutants caught`);
  if (alive > 0) process.exitCode = 1;
}
