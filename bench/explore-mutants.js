/**
 * Breaks hand-off in one way at a time and shows that the explorer notices: each mutant is the compiled discipline with
 * one place of its text changed. It is caught when, in some configuration, a property is broken that the real one keeps.
 *
 * `node bench/explore-mutants.js`; exits with 1 when a mutant lives.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurations, underDiscipline } from '../dist/explore/configurations.js';
import { explore } from '../dist/explore/explore.js';
import { PROPERTY_NAMES } from '../dist/explore/properties.js';

const SOURCE = new URL('../dist/optee/call-queue/hand-off.js', import.meta.url);

/** What is broken, the text, and what it becomes; the text stands in the source exactly once. */
export const MUTANTS = [
  ['no dispatch on exit', 'this.exits++;\n        this.dispatch();', 'this.exits++;'],
  ['no dispatch when a reservation ends', 'this.reservations--;\n        this.dispatch();', 'this.reservations--;'],
  ['an old ETHREAD_LIMIT is taken for a new one', 'waiter.exitsSeen !== this.exits', 'false'],
  ['exits are not counted', 'this.exits++;', ''],
  [
    'a refused normal call goes to the tail',
    'this.normalWaiters.pushHead(waiter)',
    'this.normalWaiters.pushTail(waiter)',
  ],
  [
    'a refused system call goes to the tail',
    'this.systemWaiters.pushHead(waiter)',
    'this.systemWaiters.pushTail(waiter)',
  ],
  ['no reserve', 'return Math.min(this.reservations, most);', 'return 0;'],
  ['the reserve is kept even with one thread', 'Math.min(1, this.capacity - 1)', '1'],
  ['nothing is learnt', 'this.capacity = learnt;', ''],
  [
    'one too few is learnt',
    'answerIsOld ? most - 1 : inFlight - 1',
    'Math.max(1, (answerIsOld ? most - 1 : inFlight - 1) - 1)',
  ],
  ['one too many is learnt', 'answerIsOld ? most - 1 : inFlight - 1', 'answerIsOld ? most : inFlight'],
  ['nothing is learnt from an old answer', 'answerIsOld ? most - 1 : inFlight - 1', 'answerIsOld ? 0 : inFlight - 1'],
  [
    'a refused normal call keeps its token',
    'this.normalInFlight--;\n            this.normalWaiters',
    'this.normalWaiters',
  ],
  [
    'a lone caller sleeps instead of pausing',
    "return 'pause'",
    "return (this.normalWaiters.pushHead(waiter), waiter.phase = 'asleep-thread-limit', this.normalInFlight--, 'sleep')",
  ],
  [
    'a system call leaves a thread free too',
    'hasRoomForSystem() {\n        return this.normalInFlight + this.systemInFlight < this.capacity;',
    'hasRoomForSystem() {\n        return this.normalInFlight + this.systemInFlight < this.capacity - this.reservedThreads();',
  ],
  ['a normal call may use every thread', 'this.capacity - this.withheld()', 'this.capacity'],
  [
    'one thread more than there is',
    'return this.normalInFlight + this.systemInFlight < this.capacity;',
    'return this.normalInFlight + this.systemInFlight <= this.capacity;',
  ],
  [
    'a system call that leaves is counted as a normal one',
    'if (waiter.system)\n            this.systemInFlight--;',
    'if (false)\n            this.systemInFlight--;',
  ],
  [
    'a woken caller is given no token',
    'wakeWithToken(waiter) {\n        this.giveToken(waiter);',
    "wakeWithToken(waiter) {\n        waiter.phase = 'entered';",
  ],
  ['a refused caller sleeps although there is room', 'if (inFlight <= this.capacity)', 'if (false)'],
  [
    'a newcomer passes those that sleep',
    'if (system ? this.hasRoomForSystem() : this.hasRoomForNormal())',
    'if (this.normalInFlight + this.systemInFlight <= this.capacity)',
  ],
  [
    'a newcomer sleeps although there is room',
    'if (system ? this.hasRoomForSystem() : this.hasRoomForNormal())',
    'if (this.normalInFlight + this.systemInFlight === 0)',
  ],
  [
    'a normal call is woken before a system call',
    'if (system !== undefined && this',
    'if (normal === undefined && system !== undefined && this',
  ],
  ['a woken caller stays in its list', 'this.normalWaiters.remove(normal);', ''],
];

/** The class of hand-off with one place of its text changed. */
export async function mutantClass([name, text, becomes]) {
  const source = readFileSync(fileURLToPath(SOURCE), 'utf8');
  const places = source.split(text).length - 1;
  if (places !== 1) throw new Error(`mutant "${name}": its text stands ${places} times in hand-off.js`);
  // A module of its own, with its imports made absolute.
  const changed = source
    .replace(text, () => becomes)
    .replaceAll(/from '(\.[^']+)'/g, (_, path) => `from '${new URL(path, SOURCE).href}'`)
    .replace(/\/\/# sourceMappingURL.*/, '');
  const module = await import(`data:text/javascript,${encodeURIComponent(changed)}`);
  return module.HandOffCallQueue;
}

/**
 * The first configuration and property by which a mutant is told from the real discipline; undefined when it lives.
 * @param brokenByReal the properties that the real discipline breaks, by configuration.
 */
export async function caughtBy(mutant, workloads, brokenByReal) {
  const HandOff = await mutantClass(mutant);
  for (const [index, configuration] of workloads.entries()) {
    const createQueue = () => new HandOff(configuration.threads, 'one-in-all');
    const { properties, states } = await explore(underDiscipline(configuration, 'hand-off'), {
      createQueue,
      maxStates: 200_000,
    });
    const name = PROPERTY_NAMES.find(
      (each) => properties[each].verdict === 'broken' && !brokenByReal[index]?.has(each),
    );
    if (name !== undefined) return { configuration, property: name, steps: properties[name].steps, states };
  }
  return undefined;
}

/** The configurations that mutants are tried on: the smallest first. */
export async function mutantWorkloads() {
  // A secure world without any thread, besides: a caller must not sleep where nobody can wake it.
  const none = { group: 'short', threads: 1, secureThreads: 0, reservations: 0, callers: 'N' };
  const explored = [];
  for (const configuration of [none, ...configurations()]) {
    const { states, properties, bound } = await explore(underDiscipline(configuration, 'hand-off'), {
      maxStates: 20_000,
    });
    if (bound !== null) continue;
    const broken = new Set(PROPERTY_NAMES.filter((name) => properties[name].verdict === 'broken'));
    explored.push({ configuration, states, broken });
  }
  explored.sort((one, other) => one.states - other.states);
  return {
    workloads: explored.map(({ configuration }) => configuration),
    brokenByReal: explored.map(({ broken }) => broken),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { workloads, brokenByReal } = await mutantWorkloads();
  let alive = 0;
  for (const mutant of MUTANTS) {
    const caught = await caughtBy(mutant, workloads, brokenByReal);
    if (caught === undefined) {
      alive++;
      console.log(`ALIVE   ${mutant[0]}`);
    } else {
      const { threads, secureThreads, callers } = caught.configuration;
      console.log(
        `caught  ${mutant[0]}: ${caught.property} in ${caught.steps} steps (${threads} threads announced, ${secureThreads} there, ${callers})`,
      );
    }
  }
  console.log(`${MUTANTS.length - alive} of ${MUTANTS.length} mutants caught, on ${workloads.length} configurations`);
  if (alive > 0) process.exitCode = 1;
}
