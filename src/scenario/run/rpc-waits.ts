import type { Trace } from '../../trace/trace.js';
import { holderOf } from '../journal/locks.js';
import type { CallState, RunJournal, ServiceRequest } from '../journal/run-journal.js';
import { possibleHolders } from '../verdict/needs.js';

/** Writes to the trace what RPCs wait for, which only the scenario knows: its services, clients and applications. */
export class RpcWaits {
  private readonly told = new WeakMap<ServiceRequest, string>();
  private readonly toldInside = new WeakMap<CallState, number>();

  constructor(
    private readonly trace: Trace,
    private readonly journal: RunJournal,
  ) {}

  /** Write the changes since the last call. */
  tell(): void {
    const { trace, journal, told, toldInside } = this;
    if (!trace.on) return;
    for (const request of journal.requests.values()) {
      const { call } = request.invocation;
      if (call === undefined) continue;
      const { needs, through } = rpcWaitOf(request);
      const now = `${needs} ${through}`;
      if ((told.get(request) ?? '0 ') === now) continue;
      told.set(request, now);
      trace.emit({ type: 'rpc-wait', call: call.id, needs, through });
    }
    for (const call of journal.asleepInside) {
      const [needs, ...others] = possibleHolders(call, journal);
      // With several candidates, the right one is unknown.
      if (needs === undefined || others.length > 0 || toldInside.get(call.state) === needs.id) continue;
      toldInside.set(call.state, needs.id);
      trace.emit({ type: 'rpc-wait', call: call.id, needs: needs.id, through: '' });
    }
  }
}

/** What a request waits for, as fields of a trace event: the id of a call (0: none), and the object in between. */
function rpcWaitOf({ waits }: ServiceRequest): { readonly needs: number; readonly through: string } {
  switch (waits.for) {
    case 'time':
      return { needs: 0, through: '' };
    case 'supplicant':
      return { needs: 0, through: 'a supplicant' };
    case 'never':
      return { needs: 0, through: 'an answer that never comes' };
    case 'lock': {
      const holder = holderOf(waits.lock);
      return { needs: holder.holder === 'call' ? holder.call.id : 0, through: `lock ${waits.lock.name}` };
    }
    case 'turn':
      return { needs: waits.holder()?.invocation.call?.id ?? 0, through: 'its turn' };
    case 'client':
      return { needs: waits.holder()?.invocation.call?.id ?? 0, through: waits.client };
    case 'invocation':
      return { needs: waits.invocation.call?.id ?? 0, through: waits.invocation.label };
    default:
      return waits satisfies never;
  }
}
