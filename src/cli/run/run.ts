import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import { type Expectation, unmet } from '../../scenario/expectation.js';
import { jsonReport } from '../../scenario/report/json-report.js';
import { junitReport, type TestCase } from '../../scenario/report/junit-report.js';
import { seedsReport } from '../../scenario/report/seeds-report.js';
import { textReport } from '../../scenario/report/text-report.js';
import { runScenario } from '../../scenario/run-scenario.js';
import { runSeeds } from '../../scenario/run-seeds.js';
import type { Scenario } from '../../scenario/scenario.js';
import { OUTCOMES, type Outcome } from '../../scenario/scenario-result.js';
import type { TraceFile } from '../../trace/node/trace-file.js';
import { badUsage } from '../output/exit-code.js';
import { closeTraces, openTrace } from '../output/trace-output.js';
import { OutputError, refuseInputAsOutput, writeOutput } from '../output/write-output.js';
import { readScenarioOrSayWhy, scenarioPath } from './find-scenario.js';
import { addRunOptions, type RunOptions } from './run-options.js';
import { commandLine, progressLine, quoted, terminalLayout } from './terminal.js';

/** Exit code if an outcome is not as expected. */
const unexpected = 1;

export function addRunCommand(program: Command): void {
  const command = program
    .command('run')
    .summary('run a workload on a simulated secure world and report the outcome')
    .description(
      'Runs the workload that a scenario file describes, in virtual time, under one or more disciplines of the call ' +
        'queue, each in a fresh simulated OP-TEE, and reports for each: the outcome (finished, deadlock, stuck, starved or cut-off) with ' +
        'the reason, the latency of each kind of client, and the use of the threads of secure world. The same seed gives the same run.',
    )
    .argument('<scenario>', "scenario file (YAML, see docs/scenarios.md), or the name of one of the package's");
  addRunOptions(command)
    .addHelpText(
      'after',
      `
Exit codes:
  0  the scenario ran, with the expected outcome if there is one
  1  it ran, but an outcome differs from --expect, or from expect: in the file
  2  bad usage, or a file that is not a scenario

Examples:
  $ normalworld run scenarios/rpmb-scmi-deadlock.yaml
  $ normalworld run thread-starvation --kernel 6.12 --queue hand-off
  $ normalworld run rpmb-scmi-deadlock --expect linux-6.7=deadlock,hand-off=finished --junit report.xml
  $ normalworld run small-for-faults --seeds 1..50
  $ normalworld run rpmb-scmi-deadlock --queue linux-6.7 --trace out.nwt && normalworld view out.nwt
  $ normalworld run one-thread-short --seed 7 --json | jq '.runs[].outcome'`,
    )
    .action(run);
}

async function run(name: string, options: RunOptions): Promise<void> {
  const scenario = await readScenarioOrSayWhy(name, options.set);
  if (scenario === undefined) return;
  const named = [...new Set([...(options.queue ?? []), ...(options.kernel ?? [])])];
  const queues = named.length > 0 ? named : scenario.queues;
  const unused = [...(options.expect?.byQueue.keys() ?? [])].filter((queue) => !queues.includes(queue));
  if (unused.length > 0) {
    console.error(`error: --expect names ${unused.join(', ')}, but only ${queues.join(', ')} will run`);
    process.exitCode = badUsage;
    return;
  }
  try {
    const found =
      options.seeds === undefined
        ? await once(name, scenario, queues, options)
        : await sweep(scenario, queues, options);
    const expectation = options.expect ?? scenario.expect;
    const failed = found.flatMap((each) => failures(each, expectation));
    if (options.junit !== undefined)
      writeOutput(options.junit, [scenarioPath(name)], [junitReport(scenario.title, testCases(found, expectation))]);
    for (const line of failed) console.error(line);
    if (failed.length > 0) process.exitCode = unexpected;
  } catch (error) {
    if (!(error instanceof OutputError || (error instanceof Error && 'syscall' in error))) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = badUsage;
  }
}

/** The outcome of a discipline, in one or several runs. */
interface Found {
  readonly queue: DisciplineName;
  readonly outcome: Outcome;
  readonly explanation: readonly string[];
  /** With several seeds: the first seed with this outcome, and the number of seeds. */
  readonly of?: { readonly seed: number; readonly count: number };
  readonly seconds: number;
}

async function once(
  name: string,
  scenario: Scenario,
  queues: readonly DisciplineName[],
  options: RunOptions,
): Promise<Found[]> {
  const progress = progressLine();
  const files: TraceFile[] = [];
  const { trace } = options;
  const started = performance.now();
  try {
    const result = await runScenario(scenario, {
      seed: options.seed,
      queues,
      onProgress: ({ queue, run, runs, time, limit, calls }) =>
        progress.show(
          () => `${queue} (${run} of ${runs}): ${seconds(time)} of at most ${seconds(limit)} s, ${calls} calls`,
        ),
      ...(trace === undefined ? {} : { record: recordTo(trace, scenarioPath(name), queues.length === 1, files) }),
    });
    progress.clear();
    console.log(options.json ? JSON.stringify(jsonReport(result), null, 2) : textReport(result, terminalLayout()));
    closeTraces(files);
    if (files.length > 0) console.error(whereToLook(files.map(({ path }) => path)));
    const each = (performance.now() - started) / 1000 / result.runs.length;
    return result.runs.map(({ queue, outcome, explanation }) => ({ queue, outcome, explanation, seconds: each }));
  } finally {
    progress.clear();
    for (const file of files) file.close();
  }
}

async function sweep(scenario: Scenario, queues: readonly DisciplineName[], options: RunOptions): Promise<Found[]> {
  const { from = 1, to = 1 } = options.seeds ?? {};
  const progress = progressLine();
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  const started = performance.now();
  try {
    const result = await runSeeds(scenario, {
      from,
      to,
      queues,
      signal: interrupt.signal,
      onProgress: (done, all) => progress.show(() => `${done} of ${all} seeds`),
    });
    progress.clear();
    console.log(options.json ? JSON.stringify(result, null, 2) : seedsReport(result, terminalLayout()));
    const each = (performance.now() - started) / 1000 / result.queues.length;
    return result.queues.flatMap(({ queue, outcomes }) =>
      OUTCOMES.flatMap((outcome) => {
        const { count, firstSeed, explanation } = outcomes[outcome];
        return firstSeed === null
          ? []
          : [{ queue, outcome, explanation, of: { seed: firstSeed, count }, seconds: each }];
      }),
    );
  } finally {
    progress.clear();
    process.removeListener('SIGINT', onInterrupt);
  }
}

const seconds = (ms: number) => (ms / 1000).toFixed(2);

/** A message for an outcome that is not as expected; empty if it is. */
function failures({ queue, outcome, of }: Found, expectation: Expectation): string[] {
  const expected = unmet(expectation, queue, outcome);
  if (expected === undefined) return [];
  const how = of === undefined ? '' : ` with ${of.count} ${of.count === 1 ? 'seed' : 'seeds'}, first ${of.seed}`;
  return [`${queue}: ${outcome}${how}; expected ${expected.join(' or ')}`];
}

/** One test case for each discipline. */
function testCases(found: readonly Found[], expectation: Expectation): TestCase[] {
  const queues = [...new Set(found.map(({ queue }) => queue))];
  return queues.map((queue) => {
    const mine = found.filter((each) => each.queue === queue);
    const wrong = mine.filter(({ outcome }) => unmet(expectation, queue, outcome) !== undefined);
    const test = { name: queue, seconds: mine[0]?.seconds ?? 0 };
    if (wrong.length === 0) return test;
    const message = wrong.flatMap((each) => failures(each, expectation)).join('; ');
    return { ...test, failure: { message, text: wrong.flatMap(({ explanation }) => explanation).join('\n') } };
  });
}

/** Record into the given file; with several disciplines into one file per discipline beside it, or into a folder. */
function recordTo(
  path: string,
  scenario: string,
  one: boolean,
  files: TraceFile[],
): (queue: DisciplineName) => TraceFile {
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  return (queue) => {
    const name = isFolder ? join(path, `${queue}.nwt`) : one ? path : path.replace(/(\.nwt)?$/, `.${queue}.nwt`);
    refuseInputAsOutput(name, [scenario]);
    const file = openTrace(name);
    files.push(file);
    return file;
  };
}

/** The command to view the traces. The page shows at most two: the first and the last of the report. */
function whereToLook(paths: readonly string[]): string {
  const shown = [...new Set([paths[0] ?? '', paths.at(-1) ?? ''])];
  return [...paths.map((path) => `trace: ${quoted(path)}`), `view it: ${commandLine('view', ...shown)}`].join('\n');
}
