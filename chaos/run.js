import { Draws } from './draws.js';
import { describe, Findings } from './findings.js';
import { MemoryWatch, peakAddressSpace, privateTemporaryFolder, settled, snapshot } from './invariants.js';
import { roundsHere } from './rounds/index.js';

/** The most that memory in use may grow over a run, in bytes: what a collector's mood explains, and two TEEs' RAM. */
const maxGrowth = { heap: 24 * 1024 * 1024, external: 150 * 1024 * 1024 };

/** The most that one round may have of memory at once, in bytes: some TEEs' RAM, and nothing as large as a number that somebody sent. */
const maxAtOnce = 1024 * 1024 * 1024;

/**
 * Rounds until the time is over, or until one finds something.
 * @param seed of the whole run: the same one gives the same rounds, each with the same faults as far as the machine's
 *   order of things allows.
 * @param log told of each round.
 * @param onFirst told of the first finding, at once.
 */
export async function run(options) {
  const temporary = privateTemporaryFolder();
  try {
    return await runIn(temporary.folder, options);
  } finally {
    temporary.remove();
  }
}

async function runIn(folder, { seed, seconds, worlds, log, onFirst }) {
  const { rounds, missing } = await roundsHere(worlds);
  if (missing !== undefined) log(`no rounds on the real OP-TEE: ${missing}`);
  if (rounds.length === 0) throw new Error('there is no round that can be run here');
  const findings = new Findings(onFirst);
  const watched = watchProcess(findings);
  const memory = new MemoryWatch();
  const draws = new Draws(seed);
  const bag = rounds.flatMap((round) => Array.from({ length: round.weight }, () => round));
  const end = performance.now() + seconds * 1000;
  const taken = new Map();
  let before;
  for (let number = 1; performance.now() < end && findings.list.length === 0; number++) {
    // The first round of each kind is to be there also in a short run.
    const round = rounds[number - 1] ?? draws.of(bag);
    const own = draws.fork();
    const begun = performance.now();
    const peak = peakAddressSpace();
    try {
      await round.run({ draws: own, findings, end });
    } catch (error) {
      findings.add(`round ${number} (${round.name}): ${describe(error)}`);
    }
    const more = peakAddressSpace() - peak;
    if (more > maxAtOnce)
      findings.add(
        `round ${number} (${round.name}) had ${(more / 2 ** 20).toFixed(0)} MiB more at once than any before`,
      );
    taken.set(round.name, (taken.get(round.name) ?? 0) + 1);
    findings.count(`rounds: ${round.name}`);
    if (before !== undefined)
      for (const left of await settled(before, folder))
        findings.add(`left over by round ${number} (${round.name}): ${left}`);
    // What Node opens once and keeps is there after the first round of each kind.
    if (number <= rounds.length) before = await quiet(folder);
    await memory.sample();
    log(`round ${number}: ${round.name}, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  }
  for (const [kind, most] of Object.entries(maxGrowth))
    if (memory.growth(kind) > most)
      findings.add(`memory in use (${kind}) grew by ${(memory.growth(kind) / 2 ** 20).toFixed(1)} MiB`);
  watched();
  return { findings, taken, memory };
}

/** A snapshot that stays the same for a moment. */
async function quiet(folder) {
  let last = JSON.stringify(snapshot(folder));
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const now = snapshot(folder);
    if (JSON.stringify(now) === last) return now;
    last = JSON.stringify(now);
  }
}

/** The process lives, and nobody has to be told of anything that nobody handled. */
function watchProcess(findings) {
  const uncaught = (error) => findings.add(`uncaught: ${describe(error)}`);
  const unhandled = (error) => findings.add(`unhandled rejection: ${describe(error)}`);
  const warning = (error) => findings.add(`warning: ${describe(error)}`);
  process.on('uncaughtException', uncaught).on('unhandledRejection', unhandled).on('warning', warning);
  return () => {
    process.off('uncaughtException', uncaught).off('unhandledRejection', unhandled).off('warning', warning);
  };
}
