import { RpcCommand, RpcNotification, rpcCommandName } from '../../protocol/optee-rpc-command.js';
import type { CallState, Invocation, OpenCall, ServiceRequest } from '../journal/run-journal.js';
import type { Need } from './needs.js';

/** `call 12 (storage 1, write)`. */
export function callName({ id, label, invocation, purpose }: OpenCall): string {
  return `call ${id} (${label}, ${invocation?.command ?? purpose})`;
}

/** `call 12`, `calls 12, 13 and 15`. */
export function callNumbers(calls: readonly OpenCall[]): string {
  const ids = calls.map(({ id }) => id).sort((one, other) => one - other);
  return `${calls.length === 1 ? 'call' : 'calls'} ${listed(ids.map(String))}`;
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** `one, two and three`. */
export function listed(items: readonly string[]): string {
  if (items.length <= 1) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** What an open call waits for, as text. */
export function describeWait({ state, invocation }: OpenCall, need?: Need): string {
  switch (state.at) {
    case 'queue':
      return 'asleep in the queue';
    case 'rpc':
      return describeRpcWait(state, invocation, need);
    case 'secure':
      return 'executes in secure world';
    case 'door':
      return 'on its way to secure world or back';
    default:
      return state satisfies never;
  }
}

function describeRpcWait(
  { command, a, request }: CallState & { readonly at: 'rpc' },
  invocation: Invocation | undefined,
  need: Need | undefined,
): string {
  if (command === undefined) return 'its RPC is not answered';
  const rpc = `its ${rpcCommandName(command)} RPC`;
  if (need?.need === 'impossible' && need.why === 'frozen') return `${rpc} waits for the supplicant, which is frozen`;
  if (request !== undefined) return describeRequestWait(rpc, request, need);
  const awaits = invocation?.awaits;
  if (command === RpcCommand.notification && awaits !== undefined)
    return `waits for notification ${awaits.notification}${need?.need === 'one-of' ? `, which ${callNumbers(need.calls)} would send` : ''}`;
  if (command === RpcCommand.notification && a === RpcNotification.wait && need?.need === 'one-of')
    return invocation?.sleepsFor === undefined
      ? `asleep in OP-TEE behind ${callNumbers(need.calls)} (${rpcCommandName(command)} RPC)`
      : `asleep in OP-TEE for ${invocation.sleepsFor.what}, which ${callNumbers(need.calls)} ${need.calls.length === 1 ? 'holds' : 'hold'}`;
  if (need?.need === 'one-of') return `${rpc} ${busyWords(need.calls)}`;
  return `${rpc} is not answered`;
}

const busyWords = (calls: readonly OpenCall[]) =>
  `waits for a thread of the supplicant, whose ${calls.length === 1 ? 'only one is' : `${calls.length} are`} at ${callNumbers(calls)}`;

function describeRequestWait(rpcName: string, { device, waits }: ServiceRequest, need: Need | undefined): string {
  const rpc = device === undefined ? rpcName : `${rpcName}: ${device}`;
  switch (waits.for) {
    case 'supplicant':
      return need?.need === 'one-of' ? `${rpc} ${busyWords(need.calls)}` : `${rpc} waits for a supplicant`;
    case 'lock':
      return `${rpc} waits for lock ${waits.lock.name}, which ${waits.lock.holder?.name ?? 'no task'} holds`;
    case 'time':
      return `${rpc} is being served`;
    case 'never':
      return `${rpc} is never answered`;
    case 'turn':
      return `${rpc} waits for its turn behind ${holder(waits.holder())}`;
    case 'client':
      return `${rpc} needs ${waits.client}, which works for ${holder(waits.holder())}`;
    case 'invocation':
      return `${rpc} needs ${neededCall(waits.invocation)}`;
    default:
      return waits satisfies never;
  }
}

function holder(request: ServiceRequest | undefined): string {
  const call = request?.invocation.call;
  return call === undefined ? 'another' : callNumbers([call]);
}

function neededCall({ call, label, command }: Invocation): string {
  return call === undefined ? `a call of ${label} (${command}), whose message has no memory yet` : callName(call);
}
