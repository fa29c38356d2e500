import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import { DISCIPLINES } from '../../optee/call-queue/disciplines.js';
import { buildName } from '../../optee-build/build-options.js';
import { opteeNamed } from '../../optee-build/built-optee.js';
import { type RealWorkload, realWorkload } from '../../scenario-on-optee/real-workload.js';
import { type RealRun, runOnOptee } from '../../scenario-on-optee/run-on-optee.js';
import { opteeFolder } from '../../worlds/qemu/optee-folder.js';
import { integerArgument } from '../open/integer-argument.js';
import { badUsage } from '../output/exit-code.js';
import { readScenarioOrSayWhy } from '../run/find-scenario.js';
import { inOrder } from './in-order.js';

/** Each run is a QEMU with one CPU that mostly waits, so two fit on a machine with two processors. */
const sideBySide = Math.min(2, availableParallelism());

interface OpteeRunOptions {
  readonly queue?: readonly DisciplineName[];
  readonly optee?: string;
  readonly repeat?: number;
  readonly seed: number;
  readonly limit: number;
  readonly json?: boolean;
}

/** `normalworld optee run`: run a scenario of secure storage behind SCMI on the real OP-TEE. */
export function addOpteeRunCommand(optee: Command): void {
  optee
    .command('run')
    .summary('run a scenario of storage in RPMB, behind SCMI, on the real OP-TEE')
    .description(
      'Runs a scenario whose applications are rpmb-storage and scmi on the real OP-TEE, with its own RPMB storage and its own ' +
        'SCMI server, and an emulated eMMC: under each discipline, with and without a system session for the SCMI agent. It ' +
        'needs an OP-TEE with both (normalworld optee build --rpmb --scmi --threads 4). Times are real.',
    )
    .argument('<scenario>', 'scenario file (YAML, see docs/scenarios.md)')
    .addOption(
      new Option(
        '-q, --queue <name>',
        `run under this discipline; may be repeated: ${Object.keys(DISCIPLINES).join(', ')}`,
      ).argParser(addQueue),
    )
    .option(
      '--optee <name or file>',
      'the OP-TEE: a build on this machine (optee list), or your own image; default: the build with the threads ' +
        'and the ABI of the scenario',
    )
    .addOption(
      new Option('--repeat <number>', "rounds of each client, instead of the scenario's").argParser(
        integerArgument(1, 10_000),
      ),
    )
    .addOption(
      new Option('-s, --seed <number>', 'seed for all random times')
        .argParser(integerArgument(0, 2 ** 32 - 1))
        .default(1),
    )
    .addOption(
      new Option('--limit <seconds>', 'time after which a run counts as too slow')
        .argParser(integerArgument(1, 3600))
        .default(120),
    )
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Exit codes:
  0  all runs finished or deadlocked
  1  OP-TEE could not be booted, or a run failed or was too slow
  2  bad usage, or a scenario that cannot be run on the real OP-TEE

Examples:
  $ normalworld optee run scenarios/rpmb-scmi-deadlock.yaml --optee sid-rpmb-scmi-threads4 --repeat 1 --queue hand-off`,
    )
    .action(async (file: string, options: OpteeRunOptions) => {
      const read = await readScenarioOrSayWhy(file);
      if (read === undefined) return;
      try {
        const scenario = realWorkload(read);
        const { repeat } = options;
        const clients = scenario.clients.map((client) => (repeat === undefined ? client : { ...client, repeat }));
        await runAll({ ...scenario, clients }, options);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        console.error(`normalworld: ${error.message}`);
        process.exitCode = error instanceof RangeError ? badUsage : 1;
      }
    });
}

async function runAll(workload: RealWorkload, options: OpteeRunOptions): Promise<void> {
  const { abi, threads } = workload;
  const name =
    options.optee ??
    buildName({
      ...{
        suite: 'sid',
        ffa: abi === 'ffa',
        rpmb: true,
        scmi: true,
        threads,
        reservedShm: true,
        dynamicShm: true,
        set: [],
      },
    });
  const { image, trustedApplications } = await opteeNamed(name);
  if (!options.json) console.log(workload.title);
  const wanted = (options.queue ?? workload.queues).flatMap((queue) =>
    [true, false].map(
      (system) => () =>
        runOnOptee(workload, {
          ...{ queue, system, optee: image, seed: options.seed, limitMs: options.limit * 1000 },
          taFolder: trustedApplications ?? opteeFolder().trustedApplications,
        }),
    ),
  );
  const runs: RealRun[] = [];
  for await (const run of inOrder(wanted, sideBySide)) {
    runs.push(run);
    if (!options.json) console.log(report(run).join('\n'));
  }
  if (options.json) console.log(JSON.stringify({ title: workload.title, optee: name, runs }, null, 2));
  if (runs.some(({ outcome }) => outcome === 'too slow')) process.exitCode = 1;
}

function report({ queue, abi, system, outcome, waits, written, accesses, milliseconds }: RealRun): string[] {
  const session = system.granted ? 'a system session' : system.asked ? 'a system session refused' : 'no system session';
  return [
    '',
    `${queue} over ${abi === 'ffa' ? 'FF-A' : 'SMC'}, ${session}: ${outcome} after ${(milliseconds / 1000).toFixed(1)} s, ` +
      `${written} objects written, ${accesses} accesses of the card`,
    ...waits.map((wait) => `  ${wait}`),
  ];
}

function addQueue(text: string, others: readonly DisciplineName[] = []): readonly DisciplineName[] {
  if (!Object.hasOwn(DISCIPLINES, text))
    throw new InvalidArgumentError(`Allowed are ${Object.keys(DISCIPLINES).join(', ')}.`);
  return [...others, text as DisciplineName];
}
