import { rpcCommandName } from '../../src/protocol/optee-rpc-command.js';
import { OpteeSmcReturn, smcName } from '../../src/protocol/optee-smc.js';
import { teeResultName } from '../../src/protocol/tee-result.js';
import {
  CallState,
  rpcCommandNotRecorded,
  rpcName,
  type Segment,
  type TimedTraceEvent,
} from '../../src/trace/index.js';
import type { Run } from './run.js';

export const stateNames = {
  [CallState.queue]: 'asleep in the queue',
  [CallState.secure]: 'in secure world',
  [CallState.rpc]: 'in an RPC',
  [CallState.door]: 'on its way',
} as const;

/** `12.3 µs`, `4.56 ms`, `7.89 s`. */
export function duration(ms: number): string {
  if (ms === 0) return '0';
  if (ms >= 1000) return `${trim(ms / 1000)} s`;
  if (ms >= 1) return `${trim(ms)} ms`;
  if (ms >= 0.001) return `${trim(ms * 1000)} µs`;
  return `${trim(ms * 1e6)} ns`;
}

function trim(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** What a call is doing in a segment: `RPC FS`, `in secure world`. */
export function doing(segment: Segment): string {
  if (segment.state === CallState.rpc) return `RPC ${rpcName(segment.command, segment.rpcFunction)}`;
  return stateNames[segment.state as keyof typeof stateNames];
}

/** `invoke, session 3`. */
export function purpose({ timeline }: Run, call: number): string {
  const session = timeline.callSession.at(call);
  return session === 0 ? timeline.purposeOf(call) : `${timeline.purposeOf(call)}, session ${session}`;
}

/** An event in one line. */
export function sentence(event: TimedTraceEvent): string {
  switch (event.type) {
    case 'call-begin':
      return `call ${event.call} of ${event.context} begins: ${event.purpose}${event.system ? ', system session' : ''}`;
    case 'call-end':
      return `call ${event.call} is over`;
    case 'queue-sleep':
      return `call ${event.call} goes to sleep${event.limit ? ' after ETHREAD_LIMIT' : ''}`;
    case 'queue-wake': {
      const by = event.by === 0 ? '' : `, by call ${event.by}`;
      return event.asleep ? `call ${event.call} is woken${by}` : `wake-up for call ${event.call}, which is awake${by}`;
    }
    case 'world-enter':
      return `call ${event.call} enters secure world: ${smcName(event.function)}`;
    case 'world-exit':
      if (event.a0 === OpteeSmcReturn.ethreadLimit) return `call ${event.call} is refused: ETHREAD_LIMIT`;
      return event.thread === undefined
        ? `call ${event.call} returns from secure world: 0x${event.a0.toString(16)}`
        : `call ${event.call} leaves thread ${event.thread} with an RPC`;
    case 'rpc-begin':
      return `call ${event.call}: RPC ${event.command === rpcCommandNotRecorded ? '' : rpcCommandName(event.command)}`;
    case 'rpc-end':
      return `call ${event.call}: RPC answered, ${teeResultName(event.result)}`;
    case 'rpc-wait':
      if (event.through === '' && event.needs === 0) return `call ${event.call}: what its RPC waited for is there`;
      return `call ${event.call}: its RPC waits ${event.through === '' ? '' : `by way of ${event.through} `}${event.needs === 0 ? '' : `for call ${event.needs}`}`;
    case 'session-open':
      return `session ${event.session} of ${event.context} opened with ${event.uuid}`;
    case 'session-close':
      return `session ${event.session} of ${event.context} closed`;
    case 'system-session':
      return `session ${event.session} ${event.granted ? 'is now a system session' : 'is refused a reserved thread'}`;
    case 'notification':
      return `secure world notifies ${event.value}`;
    case 'protocol-violation':
      return `protocol broken: ${event.what}`;
    case 'secure-console':
      return event.line;
    case 'simulated-fault':
      return `fault: ${event.what}`;
    case 'ta-panic':
      return `panic of ${event.uuid}: 0x${event.code.toString(16)}`;
    case 'invocation':
      return `${event.context} asks ${event.application} for ${event.command}`;
    case 'mark':
      return event.text;
    default:
      return event satisfies never;
  }
}
