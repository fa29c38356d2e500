import { rpcCommandName } from '../../../src/protocol/optee-rpc-command.js';
import { OpteeSmcReturn, smcName } from '../../../src/protocol/optee-smc.js';
import { teeResultName } from '../../../src/protocol/tee-result.js';
import {
  type CallPurpose,
  CallState,
  rpcCommandNotRecorded,
  rpcName,
  type Segment,
  type TimedTraceEvent,
} from '../../../src/trace/index.js';
import type { Run } from './run.js';

export const stateNames = {
  [CallState.queue]: 'asleep in the queue',
  [CallState.secure]: 'in secure world',
  [CallState.rpc]: 'in an RPC',
  [CallState.door]: 'on its way',
} as const;

/** What a call does in a segment: `RPC FS`, `in secure world`. */
export function doing(segment: Segment): string {
  if (segment.state === CallState.rpc) return `RPC ${rpcName(segment.command, segment.rpcFunction)}`;
  return stateNames[segment.state as keyof typeof stateNames];
}

/** The name of the call's command (`write`), or its purpose if the trace has no name. */
export function askedFor({ timeline, names }: Run, call: number): string {
  return names.of(call)?.command ?? purposeName(timeline.purposeOf(call));
}

/** A board's record does not show the purpose of a call. */
const purposeName = (known: CallPurpose) => (known === 'unknown' ? 'call' : known);

/** `write of secure-storage`, `invoke, session 3`. */
export function purpose({ timeline, names }: Run, call: number): string {
  const session = timeline.callSession.at(call);
  const name = names.of(call);
  if (name !== undefined) return `${name.command} of ${name.application}`;
  const asked = purposeName(timeline.purposeOf(call));
  return session === 0 ? asked : `${asked}, session ${session}`;
}

/** An event in one line of text. */
export function sentence(event: TimedTraceEvent): string {
  switch (event.type) {
    case 'call-begin':
      return `call ${event.call} of ${event.context} begins${event.purpose === 'unknown' ? '' : `: ${event.purpose}`}${event.system ? ', system session' : ''}`;
    case 'call-end':
      return `call ${event.call} ends`;
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
      if (event.through === '' && event.needs === 0) return `call ${event.call}: its RPC no longer waits`;
      return `call ${event.call}: its RPC waits for ${waitedFor(event)}`;
    case 'session-open':
      return `session ${event.session} of ${event.context} opened with ${event.uuid}`;
    case 'session-close':
      return `session ${event.session} of ${event.context} closed`;
    case 'system-session':
      return `session ${event.session} ${event.granted ? 'is now a system session' : 'is refused a reserved thread'}`;
    case 'notification':
      return `secure world notifies ${event.value}`;
    case 'protocol-violation':
      return `protocol violation: ${event.what}`;
    case 'secure-console':
      return event.line;
    case 'simulated-fault':
      return `fault: ${event.what}`;
    case 'ta-panic':
      return `panic of ${event.uuid}: 0x${event.code.toString(16)}`;
    case 'invocation':
      return `${event.context} invokes ${event.command} of ${event.application}`;
    case 'mark':
      return event.text;
    default:
      return event satisfies never;
  }
}

/** `call 3`, `call 3 (the clocks' prepare lock)`, or only what the RPC waits for. */
function waitedFor({ needs, through }: { readonly needs: number; readonly through: string }): string {
  if (needs === 0) return through;
  return through === '' ? `call ${needs}` : `call ${needs} (${through})`;
}
