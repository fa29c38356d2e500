import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { DISCIPLINES } from '../optee/call-queue/disciplines.js';
import { parseScenario, ScenarioFileError } from '../scenario/file/scenario-file.js';
import { jsonReport } from '../scenario/report/json-report.js';
import { textReport } from '../scenario/report/text-report.js';
import { type Progress, runScenario } from '../scenario/run-scenario.js';
import type { Scenario } from '../scenario/scenario.js';
import { OUTCOMES, type Outcome } from '../scenario/scenario-result.js';
import { TraceFile } from '../trace/node/trace-file.js';
import { badUsage } from './read-trace.js';

interface RunOptions {
  readonly queue?: readonly DisciplineName[];
  readonly seed: number;
  readonly expect?: Outcome;
  readonly json?: boolean;
  readonly trace?: string;
}

/** An outcome is not the one that was expected. */
const unexpected = 1;

export function addRunCommand(program: Command): void {
  program
    .command('run')
    .summary('run a workload on a simulated secure world and report what became of it')
    .description(
      'Runs the workload that a scenario file describes, in virtual time, under one or more disciplines of the call ' +
        'queue, each in a fresh simulated OP-TEE, and reports for each: finished, deadlock or starved, and why; the ' +
        'latency of each kind of client; what the thread contexts of secure world did. The same seed gives the same run.',
    )
    .argument('<scenario>', 'scenario file (YAML, see docs/scenarios.md)')
    .addOption(
      new Option(
        '-q, --queue <name>',
        `run under this discipline; may be repeated: ${queueNames().join(', ')}`,
      ).argParser(addQueue),
    )
    .addOption(
      new Option(
        '-s, --seed <number>',
        'decides every order that is open, and every time that is drawn: 0 to 4294967295',
      )
        .argParser(parseSeed)
        .default(1),
    )
    .addOption(
      new Option('--expect <outcome>', 'fail unless this is the outcome under every discipline that was run').choices(
        OUTCOMES,
      ),
    )
    .option('--json', 'print one JSON object; times in milliseconds')
    .option(
      '-t, --trace <file.nwt>',
      'record everything that happens; with several disciplines, one file for each: file.<discipline>.nwt',
    )
    .addHelpText(
      'after',
      `
Exit codes:
  0  the scenario ran, whatever the outcome
  1  it ran, but an outcome is not that of --expect
  2  bad usage, or a file that is no scenario

Examples:
  $ normalworld run scenarios/rpmb-scmi-deadlock.yaml
  $ normalworld run scenarios/thread-starvation.yaml --queue linux-6.8 --queue hand-off
  $ normalworld run scenarios/thread-starvation.yaml --queue hand-off --expect finished
  $ normalworld run scenarios/rpmb-scmi-deadlock.yaml --queue linux-6.7 --trace out.nwt && normalworld view out.nwt
  $ normalworld run scenarios/one-thread-short.yaml --seed 7 --json | jq '.runs[].outcome'`,
    )
    .action(async (file: string, options: RunOptions) => {
      const scenario = await readScenario(file);
      if (scenario === undefined) return;
      const progress = progressLine();
      const files: TraceFile[] = [];
      const one = (options.queue ?? scenario.queues).length === 1;
      try {
        const result = await runScenario(scenario, {
          seed: options.seed,
          ...(options.queue === undefined ? {} : { queues: options.queue }),
          onProgress: progress.show,
          ...(options.trace === undefined ? {} : { record: recordTo(options.trace, one, files) }),
        });
        progress.clear();
        const { stdout } = process;
        console.log(
          options.json
            ? JSON.stringify(jsonReport(result), null, 2)
            : textReport(result, { width: reportWidth(stdout.columns), colour: wantsColour(stdout.isTTY) }),
        );
        if (options.expect !== undefined && result.runs.some(({ outcome }) => outcome !== options.expect))
          process.exitCode = unexpected;
      } catch (error) {
        if (!(error instanceof Error && 'syscall' in error)) throw error;
        console.error(error.message);
        process.exitCode = badUsage;
      } finally {
        progress.clear();
        for (const file of files) file.close();
        if (files.length > 0) console.error(whereToLook(files.map(({ path }) => path)));
      }
    });
}

/** Record into the file named, or, with several disciplines, into one for each beside it. */
function recordTo(path: string, one: boolean, files: TraceFile[]): (queue: DisciplineName) => TraceFile {
  return (queue) => {
    const file = new TraceFile(one ? path : path.replace(/(\.nwt)?$/, `.${queue}.nwt`));
    files.push(file);
    return file;
  };
}

/** The page takes two traces at most: of several, the first and the last, as the report has them. */
function whereToLook(paths: readonly string[]): string {
  const shown = [...new Set([paths[0], paths.at(-1)])];
  return [...paths.map((path) => `trace: ${path}`), `look at it: normalworld view ${shown.join(' ')}`].join('\n');
}

async function readScenario(file: string): Promise<Scenario | undefined> {
  try {
    return parseScenario(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (!(error instanceof ScenarioFileError) && !(error instanceof Error && 'code' in error)) throw error;
    console.error(error.message);
    process.exitCode = badUsage;
    return undefined;
  }
}

const queueNames = () => Object.keys(DISCIPLINES);

const isQueueName = (name: string): name is DisciplineName => Object.hasOwn(DISCIPLINES, name);

function addQueue(name: string, others: readonly DisciplineName[] = []): readonly DisciplineName[] {
  if (!isQueueName(name)) throw new InvalidArgumentError(`There are ${queueNames().join(', ')}.`);
  return others.includes(name) ? others : [...others, name];
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!/^\d{1,10}$/.test(text) || seed > 0xffff_ffff)
    throw new InvalidArgumentError('It is a whole number from 0 to 4294967295.');
  return seed;
}

/** Reports are made for 80 columns; more than 100 do not make them easier to read. */
const reportWidth = (columns = 80) => Math.min(Math.max(columns, 80), 100);

const wantsColour = (isTty: boolean | undefined) => isTty === true && !process.env.NO_COLOR;

/** How long a run may take before it says how far it is, in milliseconds. */
const patienceMs = 1000;
/** How often it says so. */
const refreshMs = 200;

/** A line on the terminal that is overwritten while a run goes on; nothing when standard error is no terminal. */
function progressLine(): { readonly show: (progress: Progress) => void; readonly clear: () => void } {
  if (process.stderr.isTTY !== true) return { show: () => {}, clear: () => {} };
  let next = performance.now() + patienceMs;
  let shown = false;
  return {
    show({ queue, run, runs, time, limit, calls }) {
      if (performance.now() < next) return;
      next = performance.now() + refreshMs;
      shown = true;
      const seconds = (ms: number) => (ms / 1000).toFixed(2);
      process.stderr.write(
        `\r\x1b[K${queue} (${run} of ${runs}): ${seconds(time)} of at most ${seconds(limit)} s, ${calls} calls`,
      );
    },
    clear() {
      if (shown) process.stderr.write('\r\x1b[K');
      shown = false;
    },
  };
}
