import type { Clock } from '../../../src/clock/clock.js';
import { sleep } from '../../../src/clock/clock.js';
import type { MsgArg } from '../../../src/protocol/optee-msg.js';
import { attrTypeMask, OpteeMsgAttr } from '../../../src/protocol/optee-msg.js';
import { RpcCommand, RpcFs, RpcNotification, rpcCommandName } from '../../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../../src/protocol/tee-result.js';
import { uuidFromOctets } from '../../../src/protocol/uuid.js';
import type { NormalWorld } from './normal-world.js';

/** The services that RPC commands ask for, over files in a map: what a test says the normal world does. */
export class Supplicant {
  /** TA images as `<uuid>.ta`, and what trusted applications stored. */
  readonly files = new Map<string, Uint8Array>();
  /** What was asked for, in order: `LOAD_TA`, `NOTIFICATION WAIT 64`. */
  readonly asked: string[] = [];
  private readonly open: string[] = [];
  private readonly sent = new Set<number>();
  private readonly waiting = new Map<number, () => void>();
  normal: NormalWorld | undefined;

  constructor(private readonly clock: Clock) {}

  async answer(message: MsgArg): Promise<void> {
    this.asked.push(describe(message));
    message.ret = TeeResult.SUCCESS;
    switch (message.cmd) {
      case RpcCommand.loadTa: {
        const image = this.files.get(`${uuidFromOctets(message.octets(0))}.ta`);
        if (image === undefined) message.ret = TeeResult.ERROR_ITEM_NOT_FOUND;
        else this.output(message, 1, image);
        return;
      }
      case RpcCommand.fs:
        this.file(message);
        return;
      case RpcCommand.getTime:
        message.setWords(0, Math.floor(this.clock.wallClock() / 1000), (this.clock.wallClock() % 1000) * 1e6, 0);
        return;
      case RpcCommand.suspend:
        return sleep(this.clock, message.a(0));
      case RpcCommand.notification:
        return message.a(0) === RpcNotification.wait ? this.wait(message.b(0)) : this.send(message.b(0));
      case RpcCommand.shmAlloc: {
        const address = this.world.allocate(message.b(0));
        message.setParam(0, OpteeMsgAttr.tmemOutput, address, message.b(0), this.world.give(address));
        return;
      }
      case RpcCommand.shmFree:
        this.world.take(message.b(0));
        return;
      default:
        message.ret = TeeResult.ERROR_NOT_SUPPORTED;
    }
  }

  private get world(): NormalWorld {
    if (this.normal === undefined) throw new Error('no normal world');
    return this.normal;
  }

  private wait(value: number): void | Promise<void> {
    if (this.sent.delete(value)) return undefined;
    return new Promise((resolve) => this.waiting.set(value, resolve));
  }

  /** Wake a sleeper that nobody meant to wake. */
  wake(value: number): void {
    this.send(value);
  }

  private send(value: number): void {
    const waiter = this.waiting.get(value);
    this.waiting.delete(value);
    if (waiter === undefined) this.sent.add(value);
    else waiter();
  }

  private memory(message: MsgArg, index: number): Uint8Array {
    const registered = (message.attr(index) & attrTypeMask) < OpteeMsgAttr.tmemInput;
    const address = registered ? this.world.addressOf(message.c(index)) + message.a(index) : message.a(index);
    return this.world.world.memory.window(address, message.b(index));
  }

  private output(message: MsgArg, index: number, bytes: Uint8Array): void {
    if (message.a(index) === 0 && message.c(index) === 0) {
      message.setB(index, bytes.length);
      return;
    }
    this.memory(message, index).set(bytes.subarray(0, message.b(index)));
    message.setB(index, Math.min(bytes.length, message.b(index)));
  }

  private file(message: MsgArg): void {
    const name = (index: number) => new TextDecoder().decode(this.memory(message, index)).split('\0')[0] ?? '';
    const opened = this.open[message.b(0)] ?? '';
    const content = this.files.get(opened) ?? new Uint8Array();
    switch (message.a(0)) {
      case RpcFs.create:
      case RpcFs.open: {
        if (message.a(0) === RpcFs.create) this.files.set(name(1), new Uint8Array());
        if (!this.files.has(name(1))) message.ret = TeeResult.ERROR_ITEM_NOT_FOUND;
        else message.setWords(2, this.open.push(name(1)) - 1, 0, 0);
        return;
      }
      case RpcFs.close:
        return;
      case RpcFs.read:
        this.output(message, 1, content.subarray(message.c(0)));
        return;
      case RpcFs.write: {
        const data = this.memory(message, 1);
        const grown = new Uint8Array(Math.max(content.length, message.c(0) + data.length));
        grown.set(content);
        grown.set(data, message.c(0));
        this.files.set(opened, grown);
        return;
      }
      case RpcFs.remove:
        if (!this.files.delete(name(1))) message.ret = TeeResult.ERROR_ITEM_NOT_FOUND;
        return;
      default:
        message.ret = TeeResult.ERROR_NOT_SUPPORTED;
    }
  }
}

function describe(message: MsgArg): string {
  const name = rpcCommandName(message.cmd);
  if (message.cmd !== RpcCommand.notification) return name;
  return `${name} ${message.a(0) === RpcNotification.wait ? 'WAIT' : 'SEND'} ${message.b(0)}`;
}
