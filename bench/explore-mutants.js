/**
 * Breaks hand-off in one way at a time, under each of its policies, and shows that the explorer notices. A mutant is caught
 * when, in some configuration, a property is broken that the real one keeps.
 *
 * `node bench/explore-mutants.js`; exits with 1 when a mutant lives under one of them.
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

/** The disciplines that are hand-off, by policy. */
export const POLICIES = { 'hand-off': 'one-in-all', 'hand-off-a': 'always-free', 'hand-off-c': 'one-a-session' };

/** The class of hand-off with one place changed. */
export async function mutantClass(mutant) {
  const changed = compiled(mutate(readFileSync(fileURLToPath(SOURCE), 'utf8'), mutant, FILE))
    // A module of its own, with its imports made absolute.
    .replaceAll(/from '(\.[^']+)'/g, (_, path) => `from '${new URL(path, COMPILED).href}'`);
  const module = await import(`data:text/javascript,${encodeURIComponent(changed)}`);
  return module.HandOffCallQueue;
}

/**
 * The first configuration and property by which a mutant is told from the real discipline; undefined when it lives.
 * @param discipline one of `POLICIES`.
 * @param workloads as `mutantWorkloads` gives them for that discipline.
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

/** The configurations that mutants are tried on, the smallest first, with what the real discipline breaks in each. */
export async function mutantWorkloads(discipline) {
  // A secure world without any thread, besides: a caller must not sleep where nobody can wake it. And three that are
  // there of four, with more callers that come and go: old answers are told from new ones.
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

/** Every mutant under every policy: how each was caught, or undefined. */
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

/** In words, with the command that shows it of a build with that change. */
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
