import { RpcCommand, RpcNotification } from '../../protocol/optee-rpc-command.js';
import { stuckParties, type WaitsFor } from '../../trace/waits/wait-cycle.js';
import { holderOf, type Lock } from '../journal/locks.js';
import type { Invocation, OpenCall, RunJournal, ServiceRequest } from '../journal/run-journal.js';

/** The condition under which an open call can continue. */
export type Need =
  /** None, or only time. */
  | { readonly need: 'nothing' }
  /** An event that will not occur, whatever the other calls do. */
  | {
      readonly need: 'impossible';
      readonly why:
        | 'never-answered'
        | 'no-supplicant'
        | 'frozen'
        | 'locked'
        | 'lost-wake-up'
        | 'no-thread'
        | 'not-notified';
    }
  /** That one of these calls ends. */
  | { readonly need: 'one-of'; readonly calls: readonly OpenCall[] };

/** The thread contexts and the supplicant, as the calls share them. */
export interface ThreadShares {
  /** The number of free contexts in secure world. */
  readonly free: number;
  /** The number of free contexts that calls of this class must leave free. */
  withheld(system: boolean): number;
  /** There is no supplicant, and none will start. */
  readonly supplicantAbsent: boolean;
  /** User space is frozen, including the supplicant, and will not resume. */
  readonly supplicantFrozen: boolean;
  /** The calls that its threads serve; empty if a thread is free. */
  readonly supplicantBusyWith: readonly OpenCall[];
  /** Whether this call would send this notification. */
  sends(call: OpenCall, notification: number): boolean;
}

const nothing: Need = { need: 'nothing' };

/** The condition of each open call. */
export function needsOf(journal: RunJournal, threads: ThreadShares): ReadonlyMap<OpenCall, Need> {
  return new Map(Array.from(journal.calls.values(), (call) => [call, needOf(call, journal, threads)]));
}

function needOf(call: OpenCall, journal: RunJournal, threads: ThreadShares): Need {
  const { state } = call;
  switch (state.at) {
    case 'door':
    case 'secure':
      return nothing;
    case 'queue': {
      // A call that sleeps after ETHREAD_LIMIT was admitted by the queue and needs only a thread.
      const withheld = state.limit ? 0 : threads.withheld(call.system);
      if (threads.free > withheld) return { need: 'impossible', why: 'lost-wake-up' };
      const holders = otherHolders(call, journal);
      if (!state.limit) holders.push(...admittedAndAsleep(call, journal));
      return holders.length === 0 ? { need: 'impossible', why: 'no-thread' } : { need: 'one-of', calls: holders };
    }
    case 'rpc': {
      if (state.request !== undefined) return needOfRequest(call, state.request, journal, threads);
      switch (state.command) {
        case undefined:
        case RpcCommand.getTime:
        case RpcCommand.suspend:
          return nothing;
        case RpcCommand.notification:
          if (state.a !== RpcNotification.wait) return nothing;
          if (call.invocation?.awaits !== undefined) return needOfAwait(call, call.invocation.awaits, journal, threads);
          return anyOf(possibleHolders(call, journal));
        default:
          return ofSupplicant(call, threads);
      }
    }
    default:
      return state satisfies never;
  }
}

/** The condition of a request to the supplicant: it must exist, run, and have a free thread. */
function ofSupplicant(call: OpenCall, { supplicantAbsent, supplicantFrozen, supplicantBusyWith }: ThreadShares): Need {
  if (supplicantAbsent) return { need: 'impossible', why: 'no-supplicant' };
  if (supplicantFrozen) return { need: 'impossible', why: 'frozen' };
  return supplicantBusyWith.includes(call) ? nothing : anyOf(supplicantBusyWith);
}

function needOfLock(lock: Lock<OpenCall>): Need {
  const holder = holderOf(lock);
  switch (holder.holder) {
    case 'moves':
      return nothing;
    case 'circle':
      return { need: 'impossible', why: 'locked' };
    case 'call':
      return { need: 'one-of', calls: [holder.call] };
    default:
      return holder satisfies never;
  }
}

function needOfRequest(call: OpenCall, request: ServiceRequest, journal: RunJournal, threads: ThreadShares): Need {
  const { waits, device } = request;
  switch (waits.for) {
    case 'supplicant':
      return ofSupplicant(call, threads);
    case 'time':
      return device === undefined && threads.supplicantFrozen ? { need: 'impossible', why: 'frozen' } : nothing;
    case 'lock':
      return needOfLock(waits.lock);
    case 'never':
      return { need: 'impossible', why: 'never-answered' };
    case 'turn':
    case 'client': {
      const holder = waits.holder()?.invocation.call;
      return holder === undefined ? nothing : { need: 'one-of', calls: [holder] };
    }
    case 'invocation': {
      const { call } = waits.invocation;
      return anyOf(call === undefined ? registrations(journal) : [call]);
    }
    default:
      return waits satisfies never;
  }
}

/** The calls that could send it. Interrupts of secure world can send it, too, while anything proceeds. */
function needOfAwait(
  call: OpenCall,
  { notification, timeout }: NonNullable<Invocation['awaits']>,
  journal: RunJournal,
  threads: ThreadShares,
): Need {
  if (timeout > 0) return nothing;
  const calls = [...journal.calls.values()].filter((other) => other !== call && threads.sends(other, notification));
  return calls.length === 0 ? { need: 'impossible', why: 'not-notified' } : { need: 'one-of', calls };
}

const anyOf = (calls: readonly OpenCall[]): Need => (calls.length === 0 ? nothing : { need: 'one-of', calls });

/** The other calls that hold a thread context. */
export function otherHolders(call: OpenCall, journal: RunJournal): OpenCall[] {
  return [...journal.calls.values()].filter((other) => other !== call && other.thread !== undefined);
}

/** Calls that the queue counts as inside although they sleep after ETHREAD_LIMIT. */
export function admittedAndAsleep(call: OpenCall, journal: RunJournal): OpenCall[] {
  return [...journal.calls.values()].filter(
    (other) => other !== call && other.state.at === 'queue' && other.state.limit,
  );
}

/**
 * The calls that may hold what a call waits for inside OP-TEE: those known to hold it; otherwise those that execute in
 * the same application and do not wait in the same way; otherwise all inside.
 */
export function possibleHolders(call: OpenCall, journal: RunJournal): OpenCall[] {
  const known = call.invocation?.sleepsFor?.holders().flatMap((invocation) => invocation.call ?? []) ?? [];
  if (known.length > 0) return known;
  const holders = otherHolders(call, journal);
  const same = holders.filter(({ invocation }) => invocation?.application === call.invocation?.application);
  const executing = same.filter(({ invocation }) => invocation?.executing);
  const awake = same.filter(({ state }) => !(state.at === 'rpc' && state.command === RpcCommand.notification));
  return [executing, awake].find(({ length }) => length > 0) ?? holders;
}

/** Calls that register memory for messages. */
function registrations(journal: RunJournal): OpenCall[] {
  return [...journal.calls.values()].filter(({ purpose }) => purpose === 'register-shm');
}

/** The wait-for graph of the calls. */
export function waitsOf(needs: ReadonlyMap<OpenCall, Need>): WaitsFor<OpenCall> {
  return new Map(Array.from(needs, ([call, need]) => [call, need.need === 'one-of' ? need.calls : []]));
}

/** The calls that can never return: the hopeless ones, and those that wait only for such calls, or for each other. */
export function neverReturning(
  needs: ReadonlyMap<OpenCall, Need>,
  hopeless: ReadonlySet<OpenCall>,
): ReadonlySet<OpenCall> {
  return stuckParties(new Map([...waitsOf(needs), ...Array.from(hopeless, (call) => [call, [call]] as const)]));
}
