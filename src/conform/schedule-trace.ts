import { OpteeSmc, OpteeSmcReturn, OpteeSmcRpc, rpcReturn } from '../protocol/optee-smc.js';
import { rpcCommandNotRecorded, type TraceEvent } from '../trace/event.js';
import { encodeEvent } from '../trace/event-codec.js';
import type { TraceRecorder } from '../trace/trace.js';
import { disciplineOf, type TraceFile } from './trace-file.js';

/** The state of a caller in a schedule. */
interface Caller {
  /** Number of its call; 0 before the first. */
  call: number;
  asleep: boolean;
  /** It got a wake-up while it was awake, so its next sleep ends at once. */
  holdsWakeUp: boolean;
  thread: number;
}

/**
 * Convert a schedule of callers, as found by the explorer and replayed by `conform`, to a trace that can be displayed
 * and stepped through. One step takes one millisecond.
 */
export function recordSchedule(file: TraceFile, into: TraceRecorder): void {
  const { config, steps, variant } = file;
  const queue = disciplineOf(variant);
  into.describe({
    world: 'schedule',
    clock: 'virtual',
    // The first step has time 1.
    originMs: 1,
    threads: config.secure_threads,
    queue,
    ...(file.note === undefined ? {} : { title: file.note }),
  });
  const callers: Caller[] = config.callers.map(() => ({ call: 0, asleep: false, holdsWakeUp: false, thread: -1 }));
  const takenThreads = new Set<number>();
  let calls = 0;
  let time = 0;
  const put = (event: TraceEvent) => encodeEvent(into, time, event);
  const sleep = (caller: Caller, limit: boolean) => {
    caller.asleep = !caller.holdsWakeUp;
    if (caller.asleep) put({ type: 'queue-sleep', call: caller.call, limit });
  };
  // Sessions are numbered from 0 in a schedule; in a trace 0 means no session.
  for (let session = 1; session <= config.initial_system_sessions; session++)
    put({ type: 'system-session', session, granted: true });
  for (const { actor, op, args, result, state } of steps) {
    time++;
    const caller = callers[actor];
    if (caller === undefined) continue;
    const { call } = caller;
    const session = typeof args.session === 'number' ? args.session + 1 : 0;
    switch (op) {
      case 'system_session':
        put({ type: 'system-session', session, granted: result.rc === 0 });
        break;
      case 'begin':
        if (result.rc !== 0) break;
        caller.call = ++calls;
        caller.holdsWakeUp = false;
        put({
          type: 'call-begin',
          call: caller.call,
          context: `caller ${actor}`,
          purpose: args.close === 1 ? 'close-session' : 'invoke',
          session,
          system: result.sys === 1,
        });
        break;
      case 'wait_init':
        if (result.need_wait === 1) sleep(caller, false);
        break;
      case 'wait_return':
        caller.holdsWakeUp = false;
        break;
      case 'requeue':
        if (result.discarded === 1) put({ type: 'mark', text: `a wake-up of caller ${actor} is discarded` });
        caller.holdsWakeUp = false;
        break;
      case 'recheck':
        if (result.claimed === 0) sleep(caller, false);
        break;
      case 'smc':
        put({ type: 'world-enter', call, function: OpteeSmc.callWithArg });
        if (result.ret === 'entered') {
          caller.thread = 0;
          while (takenThreads.has(caller.thread)) caller.thread++;
          takenThreads.add(caller.thread);
        } else {
          put({ type: 'world-exit', call, a0: OpteeSmcReturn.ethreadLimit });
          sleep(caller, true);
        }
        break;
      case 'rpc_out':
        put({ type: 'world-exit', call, a0: rpcReturn(OpteeSmcRpc.cmd), thread: caller.thread });
        put({ type: 'rpc-begin', call, command: rpcCommandNotRecorded });
        break;
      case 'rpc_back':
        put({ type: 'rpc-end', call, command: rpcCommandNotRecorded, result: 0 });
        put({ type: 'world-enter', call, function: OpteeSmc.returnFromRpc });
        break;
      case 'smc_return':
        takenThreads.delete(caller.thread);
        put({ type: 'world-exit', call, a0: OpteeSmcReturn.ok });
        break;
      default:
        break;
    }
    const completed: unknown = result.completed;
    for (const woken of Array.isArray(completed) ? completed : []) {
      const target = callers[Number(woken)];
      if (target === undefined) continue;
      put({ type: 'queue-wake', call: target.call, by: op === 'release' ? 0 : call, asleep: target.asleep });
      target.holdsWakeUp = !target.asleep;
      target.asleep = false;
    }
    if (op === 'wait_final') put({ type: 'call-end', call, smcReturn: OpteeSmcReturn.ok });
    put({ type: 'mark', text: variables(state) });
  }
}

/** The queue's variables after a step, as a mark: `variables: free_thread_count 1; waiters 2 0+`. */
function variables(state: TraceFile['steps'][number]['state']): string {
  const words = Object.entries(state).map(([name, value]) =>
    name === 'waiters' ? `waiters ${waiters(value)}` : `${name} ${plain(value)}`,
  );
  return `variables: ${words.join('; ')}`;
}

/** The callers on a list, in order, followed by + if a wake-up was given. */
function waiters(list: unknown): string {
  if (!Array.isArray(list) || list.length === 0) return 'none';
  return list
    .map((each: unknown) => (Array.isArray(each) ? `${each[0]}${each[1] === 1 ? '+' : ''}` : plain(each)))
    .join(' ');
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(plain).join(' ');
  return typeof value === 'object' && value !== null ? Object.values(value).map(plain).join(':') : String(value);
}
