import { rpcCommandName } from '../protocol/optee-rpc-command.js';
import { OpteeSmcRpc } from '../protocol/optee-smc.js';
import { rpcCommandNotRecorded } from './event.js';

/** The function of an RPC of which a record does not say even that: none of secure world's. */
export const rpcFunctionNotRecorded = 0xfffe;

/** What an RPC is, for people: its command, or the function by which secure world left when the command was not recorded. */
export function rpcName(command: number, rpcFunction: number): string {
  if (command !== rpcCommandNotRecorded) return rpcCommandName(command);
  if (rpcFunction === rpcFunctionNotRecorded) return '(not recorded)';
  const name = Object.entries(OpteeSmcRpc).find(([, value]) => value === rpcFunction)?.[0];
  if (name === undefined) return `function 0x${rpcFunction.toString(16)}`;
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
