import type { Uuid } from '../protocol/uuid.js';
import type { CallPurpose } from '../trace/event.js';
import type { Call } from './call.js';
import type { Optee } from './optee.js';
import { waitsFor } from './rpc/rpc-in-service.js';

/** A call that has not returned, and what it waits for. */
export interface UnfinishedCall {
  /** Its number in traces and in the queue's state. */
  readonly call: number;
  /** The label of its client context. */
  readonly context: string;
  readonly purpose: CallPurpose;
  /** 0 if it belongs to no session. */
  readonly session: number;
  /** The UUID of the application that it is for; undefined if none, and in world `linux`. */
  readonly application?: Uuid | undefined;
  /** `a supplicant to start: LOAD_TA`, `notification 65`, `a thread of secure world (in use by: app's invoke of …)`. */
  readonly waitsFor: string;
}

/** A call that secure world has suspended in an RPC until the normal world answers. */
export interface WaitingCall extends UnfinishedCall {
  /** The start of the wait, in milliseconds of the TEE's clock. */
  readonly since: number;
}

/** The calls that have not returned, by place. */
export interface CallsInProgress {
  /** Suspended in an RPC, the oldest first. */
  readonly calls: readonly WaitingCall[];
  /** In secure world, which executes them or lets them wait; the normal world cannot know what for. */
  readonly inside: readonly UnfinishedCall[];
  /** On the way to secure world: they wait for a thread in the call queue, or for a processor. */
  readonly queued: readonly UnfinishedCall[];
}

/** The most calls named as holders of what another call waits for. */
const mostHolders = 4;

/** The calls that have not returned, and what each waits for. */
export function callsInProgress(optee: Optee): CallsInProgress {
  const suspended = new Set([...optee.rpcs].map(({ call }) => call));
  const asleep = new Set(
    Object.values(optee.callQueue.state().lists)
      .flat()
      .filter(({ phase }) => phase !== 'entered')
      .map(({ label }) => label),
  );
  const inside: Call[] = [];
  const entering: Call[] = [];
  const queued: Call[] = [];
  for (const call of optee.callsInFlight) {
    if (suspended.has(call)) continue;
    if (asleep.has(call.id)) queued.push(call);
    else if (call.switches?.waitsForProcessor()) entering.push(call);
    else inside.push(call);
  }
  const thread = `a thread of secure world${inUseBy([...suspended, ...inside, ...entering])}`;
  const processor = `a processor${inUseBy(inside)}`;
  return {
    calls: [...optee.rpcs].map((rpc) => ({
      ...unfinished(rpc.call, waitsFor(rpc, optee.supplicant.present)),
      since: rpc.since,
    })),
    inside: inside.map((call) => unfinished(call, 'secure world to finish it')),
    queued: [...entering.map((call) => unfinished(call, processor)), ...queued.map((call) => unfinished(call, thread))],
  };
}

/** All of them, in the order in which they began. */
export function unfinishedCalls(optee: Optee): readonly UnfinishedCall[] {
  const { calls, inside, queued } = callsInProgress(optee);
  return [...calls, ...inside, ...queued].sort((a, b) => a.call - b.call);
}

function unfinished({ id, context, purpose, session, application }: Call, waitsFor: string): UnfinishedCall {
  return { call: id, context: context.label, purpose, session, application, waitsFor };
}

function inUseBy(holders: readonly Call[]): string {
  if (holders.length === 0) return '';
  const named = holders.slice(0, mostHolders).map(({ context, purpose, application }) => {
    return `${context.label}'s ${purposeOf(purpose, application)}`;
  });
  const more = holders.length - named.length;
  return ` (in use by: ${[...named, ...(more > 0 ? [`${more} more`] : [])].join(', ')})`;
}

/** `invoke of 8aaaf200-2450-11e4-abe2-0002a5d5c51b`, `register-shm` */
export function purposeOf(purpose: CallPurpose, application: Uuid | undefined): string {
  return application === undefined ? purpose : `${purpose} of ${application}`;
}
