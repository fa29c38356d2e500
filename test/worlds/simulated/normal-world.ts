import type { SmcRegisters } from '../../../src/protocol/conduit.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import {
  attrMeta,
  attrNoncontig,
  MsgArg,
  msgArgSize,
  OpteeMsgAttr,
  OpteeMsgCmd,
} from '../../../src/protocol/optee-msg.js';
import {
  fromRegisterPair,
  isRpcReturn,
  lower32,
  OpteeSmc,
  OpteeSmcRpc,
  rpcFunction,
  upper32,
} from '../../../src/protocol/optee-smc.js';
import { nilUuid, uuidOctets } from '../../../src/protocol/uuid.js';
import type { SimulatedWorld } from '../../../src/worlds/simulated/index.js';

export interface Param {
  readonly attr: number;
  readonly a?: number;
  readonly b?: number;
  readonly c?: number;
  readonly octets?: Uint8Array;
}

/** Answers RPC commands; what it does not set stays as it was asked. */
export type RpcHandler = (message: MsgArg, registers: SmcRegisters) => void | Promise<void>;

export const value = (a = 0, b = 0, attr: number = OpteeMsgAttr.valueInout): Param => ({ attr, a, b });

/**
 * The least of a normal world: messages in the reserved memory, a bump allocator, RPCs answered by a function. It drives
 * nothing but registers and bytes.
 */
export class NormalWorld {
  private next: number;
  private readonly cookies = new Map<number, number>();
  /** Cookies given out by ALLOC and SHM_ALLOC and not yet taken back. */
  readonly allocated = new Set<number>();

  constructor(
    readonly world: SimulatedWorld,
    readonly rpc: RpcHandler = () => {},
    base = 0x4200_0000,
  ) {
    this.next = base;
  }

  /** Fresh memory, aligned to 4096 bytes. */
  allocate(size = 4096): number {
    const address = this.next;
    this.next += Math.ceil(size / 4096) * 4096;
    return address;
  }

  message(cmd: number, params: readonly Param[], address = this.allocate()): { address: number; message: MsgArg } {
    const message = new MsgArg(this.world.memory.window(address, msgArgSize(params.length)));
    message.reset(params.length);
    message.cmd = cmd;
    params.forEach(({ attr, a = 0, b = 0, c = 0, octets }, index) => {
      message.setParam(index, attr, a, b, c);
      if (octets !== undefined) message.octets(index).set(octets);
    });
    return { address, message };
  }

  /** One yielding call to its end, RPCs answered. */
  async call(address: number, functionId: number = OpteeSmc.callWithArg): Promise<SmcRegisters> {
    return this.follow(
      await this.world.smc(smcRegisters(functionId, upper32(address), lower32(address))),
      address,
      functionId,
    );
  }

  /** From the registers of an RPC to the end of the call. */
  async follow(
    registers: SmcRegisters,
    address: number,
    functionId: number = OpteeSmc.callWithArg,
  ): Promise<SmcRegisters> {
    let at = registers;
    while (isRpcReturn(at.a0)) at = await this.world.smc(await this.answer(at, address, functionId));
    return at;
  }

  /** The registers that resume a thread after an RPC. */
  async answer(registers: SmcRegisters, address: number, functionId: number): Promise<SmcRegisters> {
    const { a1, a2, a3 } = registers;
    switch (rpcFunction(registers.a0)) {
      case OpteeSmcRpc.alloc: {
        const given = this.allocate(a1);
        const cookie = this.give(given);
        return smcRegisters(OpteeSmc.returnFromRpc, upper32(given), lower32(given), a3, 0, cookie);
      }
      case OpteeSmcRpc.free:
        this.take(fromRegisterPair(a1, a2));
        break;
      case OpteeSmcRpc.cmd: {
        const cookie = fromRegisterPair(a1, a2);
        const rpcAddress =
          functionId === OpteeSmc.callWithArg
            ? this.cookies.get(cookie)
            : address + msgArgSize(new MsgArg(this.world.memory.window(address, 32)).paramCount);
        if (rpcAddress === undefined) throw new Error(`RPC message with an unknown cookie ${cookie}`);
        await this.rpc(new MsgArg(this.world.memory.window(rpcAddress, msgArgSize(4))), registers);
        break;
      }
    }
    return smcRegisters(OpteeSmc.returnFromRpc, a1, a2, a3);
  }

  give(address: number): number {
    const cookie = this.cookies.size + 1;
    this.cookies.set(cookie, address);
    this.allocated.add(cookie);
    return cookie;
  }

  take(cookie: number): void {
    if (!this.allocated.delete(cookie)) throw new Error(`freed twice, or never given: ${cookie}`);
  }

  addressOf(cookie: number): number {
    const address = this.cookies.get(cookie);
    if (address === undefined) throw new Error(`no such cookie: ${cookie}`);
    return address;
  }

  /** Ask for pages to be registered, by a list of one page. */
  async register(pages: readonly number[], cookie: number, size = pages.length * 4096): Promise<MsgArg> {
    const list = this.allocate();
    const words = new BigUint64Array(pages.map(BigInt));
    this.world.memory.window(list, words.byteLength).set(new Uint8Array(words.buffer));
    const attr = OpteeMsgAttr.tmemOutput | attrNoncontig;
    const { address, message } = this.message(OpteeMsgCmd.registerShm, [{ attr, a: list, b: size, c: cookie }]);
    await this.call(address);
    return message;
  }

  async unregister(cookie: number): Promise<MsgArg> {
    const { address, message } = this.message(OpteeMsgCmd.unregisterShm, [{ attr: OpteeMsgAttr.rmemInput, c: cookie }]);
    await this.call(address);
    return message;
  }

  openMessage(uuid: string, params: readonly Param[] = [], login = 0, client = nilUuid) {
    const identity = new Uint8Array(24);
    identity.set(uuidOctets(client));
    new DataView(identity.buffer).setUint32(16, login, true);
    return this.message(OpteeMsgCmd.openSession, [
      { attr: attrMeta | OpteeMsgAttr.valueInput, octets: uuidOctets(uuid) },
      { attr: attrMeta | OpteeMsgAttr.valueInput, octets: identity },
      ...params,
    ]);
  }

  /** Open a session that must open. */
  async open(uuid: string): Promise<number> {
    const { address, message } = this.openMessage(uuid);
    await this.call(address);
    if (message.ret !== 0) throw new Error(`session not opened: 0x${message.ret.toString(16)}`);
    return message.session;
  }

  invokeMessage(session: number, command: number, params: readonly Param[] = []) {
    const made = this.message(OpteeMsgCmd.invokeCommand, params);
    made.message.session = session;
    made.message.func = command;
    return made;
  }

  async invoke(session: number, command: number, params: readonly Param[] = []): Promise<MsgArg> {
    const { address, message } = this.invokeMessage(session, command, params);
    await this.call(address);
    return message;
  }

  async close(session: number): Promise<MsgArg> {
    const { address, message } = this.message(OpteeMsgCmd.closeSession, []);
    message.session = session;
    await this.call(address);
    return message;
  }
}
