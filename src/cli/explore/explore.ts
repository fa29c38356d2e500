import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { writeTrace } from '../../conform/write-trace.js';
import { FAULT_KINDS, type FaultKind } from '../../explore/driver/fault-choices.js';
import { scheduleLegend, scheduleTable } from '../../explore/queue/describe-schedule.js';
import { type Exploration, explore } from '../../explore/queue/explore.js';
import {
  type Callers,
  CallersNotationError,
  callerNotation,
  parseCallers,
} from '../../explore/queue/model/callers-notation.js';
import { type ModelConfig, SESSION_COUNT } from '../../explore/queue/model/queue-model.js';
import { PROPERTIES, PROPERTY_NAMES } from '../../explore/queue/properties/properties.js';
import type { Progress } from '../../explore/queue/search/explore-options.js';
import { MAX_THREADS } from '../../explore/queue/states/state-codec.js';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import { DISCIPLINES, keepsReserve, noReserve } from '../../optee/call-queue/disciplines.js';
import { queueOfKernel } from '../../scenario/kernel-queue.js';
import { seedLimit } from '../../scenario/run-scenario.js';
import { integerArgument } from '../open/integer-argument.js';
import { OutputOption } from '../output/output-option.js';
import { outputWidth, printReport } from '../output/print-report.js';
import { makeOutputFolder, writeOutput } from '../output/write-output.js';
import { exploreScenarioFile, faultKinds, type ScenarioFlags, STRATEGIES } from './explore-scenario.js';
import { EXPECTATIONS, type Expectation, endWith } from './explore-verdict.js';

interface ExploreFlags {
  readonly queue: DisciplineName;
  /** The queue of the kernel. */
  readonly kernel?: DisciplineName;
  readonly threads: number;
  readonly secureThreads?: number;
  readonly reservations: number;
  readonly reserve?: boolean;
  readonly callers?: Callers;
  readonly json?: boolean;
  readonly traces?: string;
  readonly symmetry: boolean;
  readonly fine?: boolean;
  readonly maxStates?: number;
  readonly maxMemory: number;
  readonly maxSeconds?: number;
  readonly workers?: number;
  readonly progress?: boolean;
  readonly expect?: Expectation;
}

/** Largest number of worker threads; larger than the number of processors of any machine. */
const mostWorkers = 1024;

/** Options that apply only to the exploration of a queue, and only to that of the whole driver. */
const QUEUE_OPTIONS = ['callers', 'threads', 'secureThreads', 'reservations', 'fine', 'symmetry', 'maxStates'];
const SCENARIO_OPTIONS = [
  ...[
    'strategy',
    'runs',
    'seed',
    'seeds',
    'deviations',
    'faults',
    'maxFaults',
    'decisions',
    'trace',
    'reduction',
    'goOn',
    'first',
  ],
];

const CALLERS_HELP = `
Callers, separated by commas; the operations of one by +:
  N            a normal call
  S S1 S2      a call on session 0, 1, 2: a system call if that is a system session
  C C1 C2      closes the session (one call, then the end of its reservation)
  M M1 M2      makes the session a system session
  X X1 X2      cancels a call on session 0, 1, 2: a relief call, like B, U and C (hand-off lets these go first)
  B            a bottom half
  U            ends the registration of memory
  R R1 R2      registers memory for a call on session 0, 1, 2; under hand-off a system call if that is a system session
After a call: r2: it suspends in two RPCs; >3: it returns only after caller 3 has finished (the first is 0);
!: it never returns. Before a caller: 3*N: three such callers. After it: N* or (N+S)*: it repeats for ever.

Exit codes:
  0  the search ended, regardless of the verdicts
  1  a verdict differs from --expect
  2  bad usage, a file that is not a scenario, or --decisions of another run
  130  ended by SIGINT; the results so far are printed

Faults (--faults), each at every point where it can occur:
${Object.entries(FAULT_KINDS)
  .map(([name, what]) => `  ${name.padEnd(13)}${what}`)
  .join('\n')}

Examples:
  $ normalworld explore --queue patch-v6 --threads 2 --reservations 1 --callers N,S,S
  $ normalworld explore --queue linux-6.8 --threads 2 --secure-threads 1 --reservations 1 --callers '2*N,S+S'
  $ normalworld explore --queue hand-off --threads 2 --callers '2*N>2,X' --reserve
  $ normalworld explore --queue hand-off --threads 0 --secure-threads 2 --callers 'N*,N*,M+S+C'
  $ normalworld explore scenarios/v6-permanent-hang.yaml --queue patch-v6 --strategy priorities --runs 100
  $ normalworld explore scenarios/explore/two-callers.yaml --seeds 1..5 --expect holds
  $ normalworld explore --queue linux-6.8 --threads 1 --callers 'N*,N*' --json | jq '.properties | map_values(.verdict)'`;

export function addExploreCommand(program: Command): void {
  program
    .command('explore')
    .summary('try every schedule of callers of a call queue, or many of the whole driver')
    .description(
      'Tries every interleaving of some callers of a call queue (--callers), or makes many runs of the whole driver ' +
        'on a scenario, each in a different order, and gives a verdict on each property.',
    )
    .argument('[scenario]', 'scenario file: explore the whole driver on it')
    .addOption(new Option('--queue <name>', 'the discipline').choices(Object.keys(DISCIPLINES)).default('hand-off'))
    .addOption(
      new Option('-k, --kernel <version>', 'the queue of this kernel, such as 6.1 or 6.12.8')
        .argParser(kernelQueue)
        .conflicts('queue'),
    )
    .option('--threads <n>', 'threads that secure world announces; 0: no announced number', threads, 2)
    .option('--secure-threads <n>', 'threads that it really has (default: as announced)', threads)
    .option('--reservations <n>', 'sessions 0 to n-1 are system sessions from the start', reservations, 0)
    .option('--reserve', 'keep one thread for relief calls, see below (hand-off only)')
    .option('--callers <list>', 'the operations of the callers, see below', callers)
    .option('--json', 'one JSON object on standard output')
    .addOption(
      new Option(
        '--expect <verdict>',
        'fail unless every property holds, no property was found broken, or one is broken',
      ).choices(EXPECTATIONS),
    )
    .option(
      '--traces <folder>',
      'write each counterexample to a file: for `normalworld replay`, or for a scenario for `normalworld view`',
    )
    .option('--no-symmetry', 'keep states separate that differ only by a permutation of equal callers')
    .option('--fine', "let a caller wake up while another leaves the queue, as the kernel's lock allows")
    .option('--max-states <n>', 'stop at this number of states', count)
    .option('--max-memory <MiB>', 'stop at this amount of memory for states', count, 4096)
    .option('--max-seconds <s>', 'stop after this time', count)
    .addOption(
      new Option('--workers <n>', 'worker threads for a large search (default: one per core)').argParser(
        integerArgument(1, mostWorkers),
      ),
    )
    .option('--no-reduction', 'scenario: make every run, also from states that earlier runs reached')
    .option('--go-on', 'scenario: continue after a run in which a client did not finish')
    .option('--first', 'scenario: stop at the first broken property, and show its run as it was found')
    .option('--progress', 'show progress even if standard error is not a terminal')
    .addOption(
      new Option('--strategy <name>', 'scenario: order in which runs are tried')
        .choices(STRATEGIES)
        .default('deviations'),
    )
    .option('--runs <n>', 'scenario: stop after this number of runs', count, 1000)
    .addOption(
      new Option('--seed <n>', 'scenario: seed for its times and for random choices')
        .argParser(integerArgument(0, seedLimit - 1))
        .default(1),
    )
    .addOption(
      new Option('--seeds <a..b>', 'scenario: explore it once with each of these seeds')
        .argParser(seeds)
        .conflicts('seed'),
    )
    .option('--deviations <n>', 'scenario: maximum number of deviations from first-come, first-served order', count)
    .option('--faults <list>', 'scenario: faults that may occur, separated by commas, or all; see below', faults)
    .option('--max-faults <n>', 'scenario: maximum number of faults in one run', count, 1)
    .option('--decisions <list>', 'scenario: make only this run, with the list of a counterexample', decisions)
    .addOption(new OutputOption('--trace <file.nwt>', 'scenario: record the run of --decisions'))
    .addHelpText('after', CALLERS_HELP)
    .action(async (scenario: string | undefined, given: ExploreFlags & ScenarioFlags, command: Command) => {
      const flags = { ...given, queue: given.kernel ?? given.queue };
      refuseForeign(command, scenario === undefined ? SCENARIO_OPTIONS : QUEUE_OPTIONS, scenario !== undefined);
      refuseUnread(command);
      if (flags.reserve && !keepsReserve(flags.queue)) command.error(`error: --reserve: ${noReserve(flags.queue)}`);
      if (scenario !== undefined) return exploreScenarioFile(scenario, flags, command);
      const config = modelConfig(flags, command);
      const exploration = await run(config, flags, command);
      if (flags.traces !== undefined) writeTraces(exploration, flags.traces);
      if (flags.json) console.log(JSON.stringify(jsonReport(exploration)));
      else printReport(textReport(exploration, outputWidth()));
      const verdicts = PROPERTY_NAMES.map((name) => exploration.properties[name].verdict);
      endWith(verdicts, flags.expect, exploration.bound === 'interrupted');
    });
}

function kernelQueue(version: string): DisciplineName {
  try {
    return queueOfKernel(version);
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}

/** Options that do not apply with --decisions, which makes a single run with given decisions. */
const OF_A_SEARCH = [
  ...['strategy', 'runs', 'seeds', 'deviations', 'reduction', 'goOn', 'first', 'maxSeconds', 'maxMemory', 'workers'],
  ...['traces', 'progress'],
];

/** Refuse options that another option would make ineffective. */
function refuseUnread(command: Command): void {
  const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
  const flagOf = (name: string | undefined) =>
    command.options.find((option) => option.attributeName() === name)?.long ?? '';
  const given = isGiven('decisions') ? OF_A_SEARCH.find(isGiven) : undefined;
  if (given !== undefined) command.error(`error: ${flagOf(given)} is for a search; --decisions makes one run`);
  if (isGiven('maxFaults') && !isGiven('faults')) command.error('error: --max-faults needs --faults');
  const strategy: unknown = command.getOptionValue('strategy');
  if (isGiven('deviations') && strategy !== 'deviations')
    command.error(`error: --deviations is for the strategy deviations, not for ${String(strategy)}`);
}

/** Refuse options that do not apply. */
function refuseForeign(command: Command, names: readonly string[], scenario: boolean): void {
  const given = names.find((name) => command.getOptionValueSource(name) === 'cli');
  const flag = command.options.find((option) => option.attributeName() === given)?.long;
  if (flag === undefined) return;
  command.error(
    scenario
      ? `error: ${flag} is for the search without a scenario; it does not apply to a scenario`
      : `error: ${flag} is for the search of a scenario; name one`,
  );
}

function modelConfig(flags: ExploreFlags, command: Command): ModelConfig {
  if (flags.fine && flags.traces !== undefined) command.error('error: a trace file cannot hold --fine schedules');
  const secureThreads = flags.secureThreads ?? flags.threads;
  if (flags.threads === 0 && flags.secureThreads === undefined)
    command.error('error: --threads 0 needs --secure-threads: the number of threads that secure world really has');
  if (flags.callers === undefined)
    command.error('error: give the operations of the callers (--callers), or a scenario');
  return {
    discipline: flags.queue,
    ...(flags.reserve ? { reserve: true } : {}),
    totalThreadCount: flags.threads,
    secureThreads,
    initialSystemSessions: flags.reservations,
    ...(flags.fine ? { fine: true } : {}),
    ...flags.callers,
  };
}

async function run(config: ModelConfig, flags: ExploreFlags, command: Command): Promise<Exploration> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  const shown = flags.progress === true || process.stderr.isTTY === true;
  try {
    return await explore(config, {
      symmetric: flags.symmetry,
      maxMiB: flags.maxMemory,
      signal: interrupt.signal,
      ...(flags.workers === undefined ? {} : { workers: flags.workers }),
      ...(flags.maxStates === undefined ? {} : { maxStates: flags.maxStates }),
      ...(flags.maxSeconds === undefined ? {} : { maxSeconds: flags.maxSeconds }),
      ...(shown ? { progress: (progress) => showProgress(progress, flags) } : {}),
    });
  } catch (error) {
    if (error instanceof RangeError) command.error(`error: ${error.message}`);
    throw error;
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    if (shown && process.stderr.isTTY) process.stderr.write('\x1b[2K\r');
  }
}

function showProgress({ states, frontier, depth, seconds, mebibytes, broken }: Progress, flags: ExploreFlags): void {
  const rate = states / seconds;
  const left = [
    ...(flags.maxSeconds === undefined ? [] : [flags.maxSeconds - seconds]),
    ...(flags.maxStates === undefined ? [] : [(flags.maxStates - states) / rate]),
  ];
  const parts = [
    `${states.toLocaleString('en')} states`,
    `${Math.round(rate / 1000)} k/s`,
    `${frontier.toLocaleString('en')} to expand`,
    `${depth} steps deep`,
    `${Math.round(mebibytes)} MiB`,
    `${seconds.toFixed(0)} s`,
    ...(left.length > 0 ? [`at most ${Math.max(0, Math.min(...left)).toFixed(0)} s to go`] : []),
    `${broken.length} broken`,
  ];
  process.stderr.write(process.stderr.isTTY ? `\x1b[2K\r${parts.join(', ')}` : `${parts.join(', ')}\n`);
}

function jsonReport({ config, ...exploration }: Exploration): unknown {
  return {
    queue: config.discipline,
    threads: config.totalThreadCount,
    secureThreads: config.secureThreads,
    reservations: config.initialSystemSessions,
    reserve: config.reserve === true,
    callers: callersText(config),
    ...exploration,
  };
}

function callersText({ callers, repeating }: ModelConfig): string {
  return callers.map((operations, label) => callerNotation(operations, repeating?.includes(label))).join(',');
}

function* textReport({ config, properties, ...exploration }: Exploration, width: number): Generator<string> {
  const shown: string[] = [];
  const shownAs = new Map<string, string>();
  const { totalThreadCount, secureThreads, initialSystemSessions } = config;
  const announced = totalThreadCount === 0 ? 'no thread count announced' : `${totalThreadCount} threads announced`;
  yield `${config.discipline}: ${announced}, ${secureThreads} available, ${initialSystemSessions} system ${initialSystemSessions === 1 ? 'session' : 'sessions'}, callers ${callersText(config)}`;
  const { states, transitions, depth, seconds, bound } = exploration;
  const folded = exploration.symmetric ? ' (equal callers are interchangeable)' : '';
  yield `${states} states${folded}, ${transitions} steps between them, ${depth} deep, ${seconds.toFixed(2)} s`;
  if (config.reserve) yield 'one thread is kept for relief calls (--reserve)';
  if (bound !== null) yield `stopped early (${bound}): properties that are not broken are not proved`;
  if (config.fine) yield 'leaving the queue is two steps for a caller that passes on its own completion (--fine)';
  for (const name of PROPERTY_NAMES) {
    const { verdict, steps, vacuous } = properties[name];
    const how = steps !== null ? ` in ${steps} steps` : vacuous === undefined ? '' : `, but not tried: ${vacuous}`;
    yield `  ${name.padEnd(28)}  ${verdict}${how}`;
  }
  for (const name of PROPERTY_NAMES) {
    const { verdict, schedule, repeatsFrom } = properties[name];
    if (verdict !== 'broken') continue;
    yield '';
    yield `${name}: ${PROPERTIES[name]}`;
    const table = scheduleTable(config, schedule, width - 2).map((line) => `  ${line}`);
    const same = shownAs.get(table.join('\n'));
    if (same === undefined) yield* table;
    else yield `  by the schedule of ${same}`;
    shownAs.set(table.join('\n'), same ?? name);
    shown.push(...table);
    if (repeatsFrom !== undefined) yield `  then from step ${repeatsFrom + 1} again, for ever`;
  }
  const legend = scheduleLegend(shown);
  if (legend.length > 0) yield '';
  yield* legend;
}

function writeTraces({ config, properties }: Exploration, folder: string): void {
  makeOutputFolder(folder);
  for (const name of PROPERTY_NAMES) {
    const { verdict, schedule } = properties[name];
    if (verdict !== 'broken') continue;
    const note = `shortest schedule found that breaks ${name}: ${PROPERTIES[name]}`;
    const actors = schedule.map(({ actor }) => actor);
    writeOutput(join(folder, `${config.discipline}-${name}.json`), [], [writeTrace(config, actors, note)]);
  }
}

function callers(text: string): Callers {
  try {
    return parseCallers(text);
  } catch (error) {
    if (error instanceof CallersNotationError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

function faults(text: string): readonly FaultKind[] {
  try {
    return faultKinds(text);
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

function seeds(text: string): readonly [number, number] {
  const [, first = '', last = ''] = /^(\d+)\.\.(\d+)$/.exec(text) ?? [];
  if (last === '' || Number(last) < Number(first) || Number(last) > 0xffff_ffff)
    throw new InvalidArgumentError('two whole numbers, the second not below the first, such as 1..5');
  return [Number(first), Number(last)];
}

function decisions(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('numbers separated by commas');
  return text.split(',').map(Number);
}

function reservations(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > SESSION_COUNT) {
    throw new InvalidArgumentError(`a number from 0 to ${SESSION_COUNT}`);
  }
  return Number(text);
}

function threads(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > MAX_THREADS)
    throw new InvalidArgumentError(`a number from 0 to ${MAX_THREADS}`);
  return Number(text);
}

function count(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) === 0 || !Number.isSafeInteger(Number(text)))
    throw new InvalidArgumentError(`a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`);
  return Number(text);
}
