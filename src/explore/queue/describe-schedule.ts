import { callerNotation } from './model/callers-notation.js';
import type { ModelConfig } from './model/queue-model.js';
import type { TraceFields } from './model/trace-step.js';
import type { ScheduledStep } from './search/counterexample.js';

/**
 * A schedule as a table: the caller, its step, the result, and the queue after it. A waiter in a list is shown as the
 * number of its caller, followed by `+` if its completion was given.
 * @param width available columns; if the table is wider, each step takes several lines.
 */
export function scheduleTable(
  config: ModelConfig,
  steps: readonly ScheduledStep[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const names = config.callers.map(
    (operations, label) => `${label} ${callerNotation(operations, config.repeating?.includes(label))}`,
  );
  const rows = steps.map((step) => [
    String(step.n + 1),
    names[step.actor] ?? '',
    whatHappens(step),
    stateAfter(step.state),
    callersAfter(step.state),
  ]);
  const table = aligned([['step', 'caller', 'action', 'queue after it', 'callers after it'], ...rows]);
  if (table.every((line) => line.length <= width)) return table;
  const numbers = String(rows.length).length;
  return rows.flatMap(([step = '', caller, what, queue, callers]) => [
    `${step.padStart(numbers)}  caller ${caller} ${what}`,
    `${' '.repeat(numbers + 4)}queue: ${queue}`,
    `${' '.repeat(numbers + 4)}callers: ${callers}`,
  ]);
}

/** The meaning of the terms in a table, as far as they occur in it. */
export function scheduleLegend(table: readonly string[]): string[] {
  const meanings: readonly (readonly [RegExp, string])[] = [
    [/\[[^\]]*\d\+/, '1+ in a list: caller 1 has been completed, and has not consumed the completion yet'],
    [/asleep:claim/, 'asleep:claim: it sleeps because it could not claim a thread'],
    [/asleep:ethread/, 'asleep:ethread: it sleeps because secure world answered ETHREAD_LIMIT'],
    [/wakeable:/, 'wakeable: it has been completed; it continues when it is scheduled'],
  ];
  return meanings.flatMap(([sign, meaning]) => (table.some((line) => sign.test(line)) ? [meaning] : []));
}

/** A step as text. */
export function whatHappens({ op, args, result }: Pick<ScheduledStep, 'op' | 'args' | 'result'>): string {
  if (typeof result.assertion === 'string') return `${op}: ${result.assertion}`;
  switch (op) {
    case 'system_session':
      return `makes session ${args.session} a system session: ${result.rc === 0 ? 'yes' : 'refused'}`;
    case 'begin':
      if (result.rc !== 0) return `finds session ${args.session} closed`;
      return `begins a ${result.sys === 1 ? 'system' : 'normal'} call${args.close === 1 ? ' that closes its session' : ''}`;
    case 'wait_init':
      return result.need_wait === 1 ? 'enters the queue: must sleep' : 'enters the queue: may call';
    case 'wait_return':
      return 'wakes up, its completion consumed';
    case 'requeue':
      return `moves to the tail of its list${result.discarded === 1 ? ', discarding a completion' : ''}`;
    case 'recheck':
      return result.claimed === 1 ? 'checks again: claims a thread' : 'checks again: must sleep again';
    case 'smc':
      return result.ret === 'entered' ? 'SMC: takes a thread in secure world' : 'SMC: ETHREAD_LIMIT';
    case 'thread_limit':
      return result.need_wait === 1 ? 'reports it to the queue: must sleep' : 'reports it to the queue: may call again';
    case 'rpc_out':
      return 'suspends in an RPC, keeping its thread';
    case 'rpc_back':
      return 'resumes from its RPC';
    case 'smc_return':
      return 'returns from secure world, its thread is free';
    case 'wait_final':
      return `leaves the queue${whom(result.completed)}`;
    case 'wait_final_second':
      return `continues leaving, passing on its own completion${whom(result.completed)}`;
    case 'release':
      return `ends the reservation${whom(result.completed)}`;
  }
}

function whom(completed: unknown): string {
  if (!Array.isArray(completed) || completed.length === 0) return ': wakes no caller';
  return `: completes ${completed.join(' and ')}`;
}

function stateAfter({ actors: _, ...state }: TraceFields): string {
  return Object.entries(state)
    .map(([name, value]) => `${name} ${Array.isArray(value) ? `[${value.map(waiterInList).join(' ')}]` : value}`)
    .join(', ');
}

function waiterInList(entry: unknown): string {
  if (!Array.isArray(entry)) return String(entry);
  return `${entry[0]}${entry[1] === 1 ? '+' : ''}`;
}

function callersAfter({ actors }: TraceFields): string {
  return Array.isArray(actors) ? actors.join(', ') : '';
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
