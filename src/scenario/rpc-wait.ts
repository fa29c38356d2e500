import type { ServiceRequest } from './run-journal.js';

/** What a request waits for, as an event of a trace says it: the number of a call, 0 for none, and by way of whom. */
export function rpcWaitOf({ waits }: ServiceRequest): { readonly needs: number; readonly through: string } {
  switch (waits.for) {
    case 'time':
      return { needs: 0, through: '' };
    case 'supplicant':
      return { needs: 0, through: 'a supplicant' };
    case 'never':
      return { needs: 0, through: 'an answer that never comes' };
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
