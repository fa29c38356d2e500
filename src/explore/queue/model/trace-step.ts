import type { Caller, Step } from './caller.js';
import type { QueueModel } from './queue-model.js';

/** Plain data, as in a trace file. */
export type TraceFields = Record<string, unknown>;

const bit = (value: boolean) => (value ? 1 : 0);

/** The relief fields of a state; left out if there are no relief calls and no thread is reserved for them. */
const OF_RELIEF = /relief/;

/** The model's state in the form of a trace file: the discipline's lists and counters, secure world, every caller. */
export function traceState(model: QueueModel): TraceFields {
  const state = model.queue.state();
  const wanted = ([name]: readonly [string, unknown]) => model.relieves || !OF_RELIEF.test(name);
  const counters = Object.fromEntries(Object.entries(state.counters).filter(wanted));
  const lists = Object.entries(state.lists).filter(wanted);
  const entries = lists.map(([name, waiters]) => [
    name,
    waiters.map(({ label, completed, system }) =>
      model.config.discipline === 'linux-6.8' ? [label, bit(completed), bit(system)] : [label, bit(completed)],
    ),
  ]);
  return {
    ...Object.fromEntries(entries),
    ...counters,
    secure_free: model.secureFree,
    actors: model.callers.map(callerState),
  };
}

/** The position of a caller, in the terms of a trace file. */
export function callerState({ stage, waiter }: Caller): string {
  if (stage !== 'waiting') return stage;
  switch (waiter.phase) {
    case 'asleep-claim':
      return waiter.completed ? 'wakeable:claim' : 'asleep:claim';
    case 'asleep-thread-limit':
      return waiter.completed ? 'wakeable:ethread' : 'asleep:ethread';
    case 'requeue-claim':
      return 'requeue:claim';
    case 'requeue-thread-limit':
      return 'requeue:ethread';
    case 'recheck':
      return 'recheck';
    case 'entered':
      // Hand-off: woken with a token.
      return 'wakeable:token';
    case 'outside':
      throw new Error(`caller ${waiter.label} waits outside the queue`);
  }
}

/** One step in the form of a trace file. */
export interface TraceStep {
  readonly op: Step;
  readonly args: TraceFields;
  readonly result: TraceFields;
  readonly state: TraceFields;
}

/** Take a caller's next step and describe it. */
export function takeTraceStep(model: QueueModel, caller: Caller): TraceStep {
  const completed: number[] = [];
  for (const { waiter } of model.callers) waiter.wake = () => completed.push(waiter.label);
  const before = model.next(caller);
  const operation = before === 'begin' || before === 'system_session' ? caller.operation : undefined;
  const op = model.step(caller);
  const { rc, needWait, discarded, claimed, entered } = model.outcome;
  let args: TraceFields = {};
  let result: TraceFields = {};
  switch (op) {
    case 'system_session':
      args = { session: operation?.session };
      result = { rc };
      break;
    case 'begin':
      args = { session: operation?.session, close: bit(operation?.op === 'close') };
      result = { rc, sys: bit(caller.system) };
      break;
    case 'wait_init':
      args = { sys: bit(caller.system) };
      result = { need_wait: bit(needWait) };
      break;
    case 'requeue':
      result = { discarded: bit(discarded) };
      break;
    case 'recheck':
      result = { claimed: bit(claimed) };
      break;
    case 'smc':
      result = { ret: entered ? 'entered' : 'ETHREAD_LIMIT' };
      break;
    case 'thread_limit':
      result = { need_wait: bit(needWait) };
      break;
    case 'wait_final':
    case 'wait_final_second':
    case 'release':
      result = { completed };
      break;
    case 'wait_return':
    case 'rpc_out':
    case 'rpc_back':
    case 'smc_return':
      break;
  }
  return { op, args, result, state: traceState(model) };
}
