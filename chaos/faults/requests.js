import { RpcCommand } from '../../dist/index.js';
import { RpcFs, RpcSocket } from '../../dist/protocol/optee-rpc-command.js';
import { absurd } from '../draws.js';

const commands = [
  RpcCommand.fs,
  RpcCommand.fs,
  RpcCommand.socket,
  RpcCommand.plugin,
  RpcCommand.rpmb,
  RpcCommand.loadTa,
];
const others = [
  RpcCommand.gprof,
  RpcCommand.ftrace,
  RpcCommand.i2cTransfer,
  RpcCommand.rpmbFrames,
  RpcCommand.rpmbProbeNext,
  77,
  2 ** 31,
];
const directions = ['input', 'output', 'inout'];

/** A request of a hostile secure world: its structure is often valid, its numbers are arbitrary. */
export function hostileRequest(draws) {
  const command = draws.chance(0.8) ? draws.of(commands) : draws.of(others);
  const number = () => (draws.chance(0.5) ? draws.upTo(8) : draws.of(absurd.filter((each) => each < 2 ** 53)));
  const value = (direction = 'input', first = number()) => ({
    type: 'value',
    direction,
    a: first,
    b: number(),
    c: number(),
  });
  const memref = (direction = 'input') => {
    const there = draws.chance(0.7);
    // The simulated world sends what it gets. References to existing memory are within its bounds, or far outside.
    const size = there && draws.chance(0.8) ? draws.upTo(4096) : number();
    return { type: 'memref', direction, there, mobj: undefined, offset: 0, size };
  };
  const any = () => (draws.chance(0.5) ? value(draws.of(directions)) : memref(draws.of(directions)));
  // Do not touch files of other actors: use handles that are not open.
  const notOpen = (first) => ({ ...first, b: 100_000 + draws.upTo(2 ** 20) });
  if (draws.chance(0.2) && command !== RpcCommand.fs)
    return { command, params: Array.from({ length: draws.upTo(5) }, any) };
  switch (command) {
    case RpcCommand.fs: {
      const operation = draws.upTo(12);
      const first = value('input', operation);
      switch (operation) {
        case RpcFs.open:
        case RpcFs.create:
        case RpcFs.opendir:
          return { command, params: [first, memref(), value('output')] };
        case RpcFs.read:
        case RpcFs.readdir:
          return { command, params: [notOpen(first), memref('output')] };
        case RpcFs.write:
          return { command, params: [notOpen(first), memref()] };
        case RpcFs.remove:
          return { command, params: [first, memref()] };
        case RpcFs.rename:
          return { command, params: [first, memref(), memref()] };
        default:
          return { command, params: [notOpen(first)] };
      }
    }
    case RpcCommand.socket: {
      const operation = draws.upTo(6);
      const first = { ...value('input', operation), b: 2 ** 20 + draws.upTo(4) };
      switch (operation) {
        case RpcSocket.open:
          // No server listens on port 1 of this machine.
          return {
            command,
            params: [first, { ...value('input'), a: draws.of([0, 1, 65_536, 2 ** 32]) }, memref(), value('output')],
          };
        case RpcSocket.send:
          return { command, params: [first, memref(), value('inout')] };
        case RpcSocket.receive:
        case RpcSocket.ioctl:
          return { command, params: [first, memref(operation === RpcSocket.receive ? 'output' : 'inout'), value()] };
        default:
          return { command, params: [first] };
      }
    }
    case RpcCommand.plugin:
      return { command, params: [value(), value(), value('inout'), memref('inout')] };
    case RpcCommand.rpmb:
      return { command, params: [memref(), memref('output')] };
    case RpcCommand.loadTa:
      return { command, params: [value(), memref('output')] };
    default:
      return { command, params: Array.from({ length: draws.upTo(4) }, any) };
  }
}
