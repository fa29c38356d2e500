import type { CallPurpose } from '../trace/event.js';
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
  /** `a supplicant to come: LOAD_TA`, `notification 65`, `secure world, which executes it`. */
  readonly waitsFor: string;
}

/** @param which `inside` for calls in secure world only; all when left out. */
export function unfinishedCalls(optee: Optee, which?: 'inside'): readonly UnfinishedCall[] {
  const out = new Map([...optee.rpcs].map((rpc) => [rpc.call, rpc]));
  const queued = new Set(
    Object.values(optee.callQueue.state().lists)
      .flat()
      .filter(({ phase }) => phase !== 'entered')
      .map(({ label }) => label),
  );
  const unfinished: UnfinishedCall[] = [];
  for (const call of optee.callsInFlight) {
    const rpc = out.get(call);
    const inside = rpc === undefined && !queued.has(call.id);
    if (which === 'inside' && !inside) continue;
    unfinished.push({
      call: call.id,
      context: call.context.label,
      purpose: call.purpose,
      session: call.session,
      waitsFor: inside
        ? 'secure world to finish it'
        : rpc === undefined
          ? 'a thread of secure world'
          : waitsFor(rpc, optee.supplicant.present),
    });
  }
  return unfinished;
}
