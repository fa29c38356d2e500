import { QueueModel } from '../explore/queue/model/queue-model.js';
import { takeTraceStep, traceState } from '../explore/queue/model/trace-step.js';
import { isAsleep } from '../explore/queue/properties/judge.js';
import { modelConfig, type TraceFile } from './trace-file.js';

/** The first difference between a discipline and a trace. */
export interface Difference {
  /** The step's number; `initial` or `final` for states before and after the steps. */
  readonly at: number | 'initial' | 'final';
  /** For example `state.waiters[1][0]`. */
  readonly field: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Replay a trace with its discipline. @returns the first difference, or undefined if the discipline conforms. */
export function replayTrace(trace: TraceFile): Difference | undefined {
  const model = new QueueModel(modelConfig(trace));
  const initial = firstDifference(trace.initial, traceState(model), 'state');
  if (initial !== undefined) return { at: 'initial', ...initial };

  for (const { n, actor, op, args, result, state } of trace.steps) {
    const caller = model.callers[actor];
    if (caller === undefined) {
      return { at: n, field: 'actor', expected: actor, actual: `only ${model.callers.length} callers` };
    }
    const next = model.next(caller);
    if (next !== op) return { at: n, field: 'op', expected: op, actual: next };
    const taken = takeTraceStep(model, caller);
    const difference =
      firstDifference(args, taken.args, 'args') ??
      firstDifference(result, taken.result, 'result') ??
      firstDifference(state, taken.state, 'state');
    if (difference !== undefined) return { at: n, ...difference };
  }

  if (trace.final === undefined) return undefined;
  const final = firstDifference(trace.final, finalState(model), 'final');
  return final === undefined ? undefined : { at: 'final', ...final };
}

/** The state of a run after its last step. */
export function finalState(model: QueueModel): { asleep: number; enabled: number[] } {
  return {
    asleep: model.callers.filter(isAsleep).length,
    enabled: model.callers.filter((caller) => model.next(caller) !== undefined).map(({ label }) => label),
  };
}

function firstDifference(expected: unknown, actual: unknown, field: string): Omit<Difference, 'at'> | undefined {
  if (isContainer(expected) && isContainer(actual) && Array.isArray(expected) === Array.isArray(actual)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const path = Array.isArray(expected) ? `${field}[${key}]` : `${field}.${key}`;
      const difference = firstDifference(expected[key], actual[key], path);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  return expected === actual ? undefined : { field, expected, actual };
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
