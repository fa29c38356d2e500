import { rpcCommandName } from '../protocol/optee-rpc-command.js';
import { OpteeSmcRpc } from '../protocol/optee-smc.js';
import { rpcCommandNotRecorded } from './event.js';

/** What an RPC is, for people: its command, or the function by which secure world left when the command was not recorded. */
export function rpcName(command: number, rpcFunction: number): string {
  if (command !== rpcCommandNotRecorded) return rpcCommandName(command);
  const name = Object.entries(OpteeSmcRpc).find(([, value]) => value === rpcFunction)?.[0];
  if (name === undefined) return `function 0x${rpcFunction.toString(16)}`;
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
