import { rpcCommandName } from '../protocol/optee-rpc-command.js';
import { OpteeSmcRpc } from '../protocol/optee-smc.js';
import { rpcCommandNotRecorded } from './event.js';

/** The RPC function if not even that was recorded; secure world uses no such number. */
export const rpcFunctionNotRecorded = 0xfffe;

/** The name of an RPC: its command, or its function if the command was not recorded. */
export function rpcName(command: number, rpcFunction: number): string {
  if (command !== rpcCommandNotRecorded) return rpcCommandName(command);
  if (rpcFunction === rpcFunctionNotRecorded) return '(not recorded)';
  const name = Object.entries(OpteeSmcRpc).find(([, value]) => value === rpcFunction)?.[0];
  if (name === undefined) return `function 0x${rpcFunction.toString(16)}`;
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
