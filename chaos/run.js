import { Draws } from './draws.js';
import { describe, Findings } from './findings.js';
import { MemoryWatch, peakAddressSpace, privateTemporaryFolder, settled, snapshot } from './invariants.js';
import { roundsHere } from './rounds/index.js';

/**
 * Largest permitted growth of memory over a run, in bytes: variations of garbage collection, and the RAM of two TEEs.
 */
const maxGrowth = { heap: 24 * 1024 * 1024, external: 150 * 1024 * 1024 };

/**
 * Largest permitted memory of a round, in bytes: the RAM of some TEEs, and no allocation of a size taken from a
 * message.
 */
const maxAtOnce = 1024 * 1024 * 1024;

/**
 * Run rounds until the time is over or one has a finding.
 * @param seed of the whole run: the same seed gives the same rounds, with the same faults as far as the scheduling of
 * the machine permits.
 * @param log called for each round.
 * @param onFirst called at once for the first finding.
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
    // The first rounds are one of each kind, also in a short run.
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
    // Resources that Node opens once and keeps exist after the first round of each kind.
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

/** Check for unhandled errors of the process. */
function watchProcess(findings) {
  const uncaught = (error) => findings.add(`uncaught: ${describe(error)}`);
  const unhandled = (error) => findings.add(`unhandled rejection: ${describe(error)}`);
  const warning = (error) => findings.add(`warning: ${describe(error)}`);
  process.on('uncaughtException', uncaught).on('unhandledRejection', unhandled).on('warning', warning);
  return () => {
    process.off('uncaughtException', uncaught).off('unhandledRejection', unhandled).off('warning', warning);
  };
}
