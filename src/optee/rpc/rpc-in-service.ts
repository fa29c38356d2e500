import { RpcCommand, RpcNotification, rpcCommandName } from '../../protocol/optee-rpc-command.js';
import type { Call } from '../call.js';

/** A request of secure world that is being served, for which its call waits. */
export interface RpcInService {
  readonly call: Call;
  readonly command: number;
  /** The first words of its first parameter; 0 if it has none. */
  readonly a: number;
  readonly b: number;
  /** When it arrived, in milliseconds of the driver's clock. */
  readonly since: number;
  /** Ends its wait when the client dies; undefined if the wait cannot be interrupted in Linux. */
  interrupt: (() => void) | undefined;
  /** Ends its wait when secure world is dead. */
  end: (() => void) | undefined;
}

/** A description of what the call waits for. */
export function waitsFor({ command, a, b }: RpcInService, supplicantPresent: boolean): string {
  switch (command) {
    case RpcCommand.notification:
      return a === RpcNotification.wait ? `notification ${b}` : `sending notification ${b}`;
    case RpcCommand.suspend:
      return `the end of a sleep of ${a} ms`;
    case RpcCommand.rpmbProbeReset:
    case RpcCommand.rpmbProbeNext:
    case RpcCommand.rpmbFrames:
      return `the RPMB device: ${rpcCommandName(command)}`;
    case RpcCommand.i2cTransfer:
      return 'a transfer on an I2C bus';
    default:
      return `${supplicantPresent ? 'the supplicant' : 'a supplicant to start'}: ${rpcCommandName(command)}`;
  }
}
