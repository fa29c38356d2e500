import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Decision, followed, staleness } from '../../explore/driver/decisions.js';
import {
  exploreScenario,
  type ScenarioExploration,
  type ScenarioProgress,
  type Strategy,
} from '../../explore/driver/explore-scenario.js';
import { FAULT_KINDS, type FaultKind, type FaultSettings } from '../../explore/driver/fault-choices.js';
import { RUN_PROPERTIES, RUN_PROPERTY_NAMES } from '../../explore/driver/properties/run-checks.js';
import { judgeRun } from '../../explore/driver/runs/judge-run.js';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import type { Scenario } from '../../scenario/scenario.js';
import type { TraceFile } from '../../trace/node/trace-file.js';
import { printReport } from '../output/print-report.js';
import { closeTraces, openTrace } from '../output/trace-output.js';
import { makeOutputFolder } from '../output/write-output.js';
import { readScenarioOrSayWhy } from '../run/find-scenario.js';
import { commandLine } from '../run/terminal.js';
import { type Expectation, endWith } from './explore-verdict.js';

export const STRATEGIES: readonly Strategy[] = ['deviations', 'random', 'priorities'];

export interface ScenarioFlags {
  readonly queue: DisciplineName;
  readonly strategy: Strategy;
  readonly runs: number;
  readonly seed: number;
  /** Keep a thread for relief calls, even if the scenario does not say so. */
  readonly reserve?: boolean;
  readonly deviations?: number;
  readonly decisions?: readonly number[];
  readonly faults?: readonly FaultKind[];
  readonly maxFaults: number;
  readonly maxSeconds?: number;
  readonly maxMemory: number;
  readonly workers?: number;
  readonly reduction: boolean;
  readonly goOn?: boolean;
  readonly first?: boolean;
  readonly json?: boolean;
  readonly progress?: boolean;
  readonly seeds?: readonly [number, number];
  /** Trace file for the run of `decisions`. */
  readonly trace?: string;
  /** Folder for traces of counterexamples. */
  readonly traces?: string;
  readonly expect?: Expectation;
}

const FAULT_NAMES = Object.keys(FAULT_KINDS) as readonly FaultKind[];

/** The fault kinds in a comma-separated list; `all` means all. @throws RangeError naming an unknown kind. */
export function faultKinds(list: string): readonly FaultKind[] {
  if (list === 'all') return FAULT_NAMES;
  return list.split(',').map((name) => {
    const kind = FAULT_NAMES.find((known) => known === name);
    if (kind === undefined)
      throw new RangeError(`"${name}" is not a fault; faults are ${FAULT_NAMES.join(', ')}, or all`);
    return kind;
  });
}

const faultSettings = ({ faults = [], maxFaults }: ScenarioFlags): FaultSettings => ({
  kinds: faults,
  most: maxFaults,
});

/** `normalworld explore SCENARIO`: many runs of the whole driver with different orders of events. */
export async function exploreScenarioFile(file: string, flags: ScenarioFlags, command: Command): Promise<void> {
  const read = await readScenarioOrSayWhy(file);
  if (read === undefined) return;
  const scenario = flags.reserve ? { ...read, reserve: true } : read;
  if (flags.decisions !== undefined) return replayRun(scenario, flags, flags.decisions, command);
  if (flags.trace !== undefined)
    command.error('error: --trace records the run of --decisions; --traces FOLDER records every counterexample');

  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  const [first, last] = flags.seeds ?? [flags.seed, flags.seed];
  const verdicts: string[] = [];
  try {
    for (let seed = first; seed <= last && !interrupt.signal.aborted; seed++) {
      const exploration = await exploreSeed(scenario, seed, flags, interrupt.signal);
      if (flags.json) console.log(JSON.stringify({ scenario: scenario.title, ...exploration }));
      else printReport(textReport(file, scenario, exploration, flags));
      verdicts.push(...RUN_PROPERTY_NAMES.map((name) => exploration.properties[name].verdict));
      if (flags.traces !== undefined) await recordCounterexamples(scenario, exploration, flags, flags.traces);
    }
    if (!flags.json) printReport(notTried(flags, scenario));
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
  endWith(verdicts, flags.expect, interrupt.signal.aborted);
}

async function exploreSeed(
  scenario: Scenario,
  seed: number,
  flags: ScenarioFlags,
  signal: AbortSignal,
): Promise<ScenarioExploration> {
  const shown = flags.progress === true || process.stderr.isTTY === true;
  try {
    return await exploreScenario(scenario, {
      queue: flags.queue,
      strategy: flags.strategy,
      seed,
      maxRuns: flags.runs,
      maxMiB: flags.maxMemory,
      workers: flags.workers ?? availableParallelism(),
      reduce: flags.reduction,
      goOn: flags.goOn === true,
      first: flags.first === true,
      faults: faultSettings(flags),
      signal,
      ...(flags.maxSeconds === undefined ? {} : { maxSeconds: flags.maxSeconds }),
      ...(flags.deviations === undefined ? {} : { maxDeviations: flags.deviations }),
      ...(shown ? { progress: (progress) => showProgress(progress, flags) } : {}),
    });
  } finally {
    if (shown && process.stderr.isTTY) process.stderr.write('\x1b[2K\r');
  }
}

/** What the verdict does not cover. */
function* notTried({ seed, seeds, faults }: ScenarioFlags, { queues }: Scenario): Generator<string> {
  const times = seeds === undefined ? `seed ${seed}` : `seeds ${seeds[0]} to ${seeds[1]}`;
  const others = faults === undefined ? 'Faults (--faults), other seeds' : 'Other seeds';
  yield `These verdicts are for the times of ${times}. ${others} (--seeds)${queues.length > 1 ? ' and queues (--queue)' : ''} were not tried.`;
}

/** Repeat the run of each counterexample and record it. */
async function recordCounterexamples(
  scenario: Scenario,
  { queue, seed, properties }: ScenarioExploration,
  flags: ScenarioFlags,
  folder: string,
): Promise<void> {
  makeOutputFolder(folder);
  for (const name of RUN_PROPERTY_NAMES) {
    const { verdict, decisions } = properties[name];
    if (verdict !== 'broken') continue;
    const suffix = flags.seeds === undefined ? '' : `-seed-${seed}`;
    await recorded(join(folder, `${queue}-${name}${suffix}.nwt`), (record) =>
      judgeRun(scenario, queue, seed, followed(decisions), faultSettings(flags), { record }),
    );
  }
}

async function recorded<Result>(path: string, make: (record: TraceFile) => Promise<Result>): Promise<Result> {
  const record = openTrace(path);
  try {
    const result = await make(record);
    closeTraces([record]);
    console.error(`trace: ${path}`);
    return result;
  } finally {
    record.close();
  }
}

async function replayRun(
  scenario: Scenario,
  flags: ScenarioFlags,
  list: readonly number[],
  command: Command,
): Promise<void> {
  const { queue, seed, json, trace } = flags;
  const recorder = followed(list);
  const make = (record?: TraceFile) => judgeRun(scenario, queue, seed, recorder, faultSettings(flags), { record });
  const { decisions, broken } = trace === undefined ? await make() : await recorded(trace, make);
  const stale = staleness(recorder, list);
  if (stale !== undefined)
    command.error(
      `error: --decisions: ${stale}; the list belongs to another scenario, queue, seed or set of faults, or to another version`,
    );
  endWith(broken.size === 0 ? ['holds'] : ['broken'], flags.expect, false);
  if (json) {
    console.log(
      JSON.stringify({ scenario: scenario.title, queue, seed, decisions, broken: Object.fromEntries(broken) }),
    );
    return;
  }
  printReport([
    ...decisions.flatMap((decision, at) =>
      decision.kind === 'event' && decision.index === 0
        ? []
        : [`${String(at).padStart(5)}  ${decision.actor}: ${decision.step}${which(decision)}`],
    ),
    ...[...broken].flatMap(([name, what]) => [`${name}: ${RUN_PROPERTIES[name]}:`, ...what.map((line) => `  ${line}`)]),
    ...(broken.size === 0 ? ['This run breaks no property.'] : []),
  ]);
}

/** How a decision differs from the default; the name of an event says it already. */
function which({ kind, index, of }: Decision): string {
  return kind === 'event' || index === 0 ? '' : `  (number ${index + 1} of ${of})`;
}

function showProgress(progress: ScenarioProgress, { maxSeconds = Number.POSITIVE_INFINITY }: ScenarioFlags): void {
  const { runs, maxRuns, seconds, waiting, states, mebibytes, broken } = progress;
  const rate = runs / seconds;
  const left = Math.min((maxRuns - runs) / rate, maxSeconds - seconds);
  const parts = [
    `${runs} of at most ${maxRuns} runs`,
    `${rate.toFixed(0)}/s`,
    ...(states > 0 ? [`${states} states`] : []),
    ...(waiting > 0 ? [`${waiting} known to remain`] : []),
    `${mebibytes.toFixed(0)} MiB`,
    `at most ${Math.max(0, left).toFixed(0)} s to go`,
    `${broken.length} broken`,
  ];
  process.stderr.write(process.stderr.isTTY ? `\x1b[2K\r${parts.join(', ')}` : `${parts.join(', ')}\n`);
}

/** How the order of a counterexample differs from the default one. */
function fromOrder(deviations: number): string {
  if (deviations === 0) return ' in first-come, first-served order';
  return ` by ${deviations} ${deviations === 1 ? 'deviation' : 'deviations'} from first-come, first-served order`;
}

function* textReport(
  file: string,
  scenario: Scenario,
  exploration: ScenarioExploration,
  { faults = [], maxFaults, reserve = false }: ScenarioFlags,
): Generator<string> {
  const { queue, strategy, seed, runs, states, seconds, bound, complete, properties } = exploration;
  const met = states > 0 ? `, ${states} states` : '';
  yield `${scenario.title}: ${queue}, ${runs} ${runs === 1 ? 'run' : 'runs'} (${strategy}, seed ${seed})${met} in ${seconds.toFixed(1)} s`;
  if (faults.length > 0) yield `Faults: ${faults.join(', ')}; at most ${maxFaults} in a run.`;
  if (complete) yield `Every order of the times of seed ${seed} was tried.`;
  if (bound !== null) yield `stopped early (${bound}): properties that are not broken are not proved`;
  for (const name of RUN_PROPERTY_NAMES) {
    const { verdict, deviations, vacuous } = properties[name];
    const how =
      verdict === 'broken' ? fromOrder(deviations.length) : vacuous === undefined ? '' : `, but not tried: ${vacuous}`;
    yield `  ${name.padEnd(20)}${verdict}${how}`;
  }
  for (const name of RUN_PROPERTY_NAMES) {
    const { verdict, what, decisions, deviations } = properties[name];
    if (verdict !== 'broken') continue;
    yield '';
    yield `${name}: ${RUN_PROPERTIES[name]}`;
    yield* what.map((line) => `  ${line}`);
    yield* deviations.map(
      (decision) => `  decision ${decision.at}: ${decision.actor}: ${decision.step}${which(decision)}`,
    );
    const list = decisions.length > 0 ? decisions.join(',') : '0';
    const struck = faults.length === 0 ? [] : ['--faults', faults.join(','), '--max-faults', String(maxFaults)];
    const chosen = [
      '--queue',
      queue,
      '--seed',
      String(seed),
      ...(reserve ? ['--reserve'] : []),
      ...struck,
      '--decisions',
      list,
    ];
    yield `  again: ${commandLine('explore', file, ...chosen)}`;
  }
}
