import type { Caller, Operation } from '../explore/queue/model/caller.js';
import type { ModelConfig } from '../explore/queue/model/queue-model.js';
import { runSchedule } from '../explore/queue/search/counterexample.js';
import { finalState } from './replay-trace.js';
import { TRACE_FORMAT, TRACE_VARIANTS } from './trace-file.js';

/**
 * Write a schedule as a trace file, one step per line.
 * @param schedule the callers that make the steps, in order.
 */
export function writeTrace(config: ModelConfig, schedule: readonly number[], note: string): string {
  const ended = runSchedule(config, schedule).model;
  const finite = withoutRepeating(config, ended.callers, schedule);
  const { model, initial, steps } = runSchedule(finite, schedule);
  const variant = Object.keys(TRACE_VARIANTS).find((name) => TRACE_VARIANTS[name] === config.discipline);
  const callers = finite.callers.map((operations) => operations.map(operationInFile));
  const traceConfig = {
    total_thread_count: config.totalThreadCount,
    secure_threads: config.secureThreads,
    initial_system_sessions: config.initialSystemSessions,
    ...(config.reserve === true ? { reserve: 1 } : {}),
    callers,
  };
  return [
    `{"format":"${TRACE_FORMAT}","variant":${JSON.stringify(variant)},"note":${JSON.stringify(note)},`,
    `"config":${JSON.stringify(traceConfig)},`,
    `"initial":${JSON.stringify(initial)},`,
    `"steps":[`,
    steps
      .map(({ n, actor, op, args, result, state }) => JSON.stringify({ n, actor, op, args, result, state }))
      .join(',\n'),
    `],`,
    `"final":${JSON.stringify(finalState(model))}}`,
    '',
  ].join('\n');
}

function operationInFile(operation: Operation): unknown {
  return operation.op === 'system_session' ? operation : { ...operation, forever: operation.forever ? 1 : 0 };
}

/** The same callers without repetition: the format has none, so the executed rounds are written one after another. */
function withoutRepeating(config: ModelConfig, callers: readonly Caller[], schedule: readonly number[]): ModelConfig {
  const rounds = (label: number) => {
    // Each operation takes at least one step. One more round ensures that the caller does not finish.
    const steps = schedule.filter((actor) => actor === label).length;
    return steps + 1;
  };
  return {
    ...config,
    repeating: [],
    callers: callers.map(({ operations, repeats, label }) =>
      repeats ? Array.from({ length: rounds(label) }, () => operations).flat() : operations,
    ),
  };
}
