import type { SmcRegisters } from '../../../protocol/conduit.js';
import { attrNoncontig, MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../../protocol/optee-msg.js';
import { OpteeSmc } from '../../../protocol/optee-smc.js';
import { type PhysicalMemory, pageSize } from '../../../protocol/physical-memory.js';
import { type SecureWorld, secureWorldBut } from '../../../protocol/secure-world.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';

/** Memory that secure world has for a call that is inside. */
interface Lent {
  /** Where the message is. */
  readonly message: string;
  /** The page list of memory being registered, as it was when the call entered. */
  readonly list: { readonly live: readonly Uint8Array[]; readonly before: readonly Uint8Array[] } | undefined;
}

/**
 * Stands between the driver and secure world and watches the memory that calls are made of: a message has one call at a time,
 * and the list of pages that a call registers stays as it is while secure world may read it. Over raw SMCs.
 */
export class MemoryWatch {
  private readonly inside = new Map<number, Lent>();
  /** The call that is about to make an SMC. */
  private entering = 0;

  /**
   * @param says that something is broken, in words.
   * @param looks at the message with which a call enters, where it is in memory that both worlds reach.
   */
  constructor(
    private readonly says: (what: string) => void,
    private readonly looks: (call: number, message: MsgArg) => void,
  ) {}

  readonly between = (world: SecureWorld): SecureWorld => {
    if (world.abi === 'ffa') return world;
    const { conduit, memory } = world;
    return secureWorldBut(world, {
      conduit: {
        smc: (registers) => {
          this.enters(registers, memory);
          return conduit.smc(registers);
        },
      },
    });
  };

  readonly listen = (event: TimedTraceEvent): void => {
    switch (event.type) {
      case 'world-enter':
        this.entering = event.call;
        break;
      case 'world-exit':
        // Back for good, or never inside; a thread that waits for an RPC keeps what it has.
        if (event.thread === undefined) this.comesBack(event.call);
        break;
      case 'call-end':
        this.comesBack(event.call);
        break;
      default:
        break;
    }
  };

  private enters({ a0, a1, a2, a3 }: SmcRegisters, memory: PhysicalMemory): void {
    if (a0 !== OpteeSmc.callWithArg && a0 !== OpteeSmc.callWithRpcArg && a0 !== OpteeSmc.callWithRegdArg) return;
    const message = [a0 === OpteeSmc.callWithRegdArg ? a3 : '', a1, a2].join();
    for (const [call, lent] of this.inside)
      if (lent.message === message && call !== this.entering)
        this.says(`call ${this.entering} enters with the message of call ${call}, which is inside`);
    const msg = a0 === OpteeSmc.callWithRegdArg ? undefined : messageAt(memory, a1 * 2 ** 32 + a2);
    if (msg !== undefined) this.looks(this.entering, msg);
    this.inside.set(this.entering, { message, list: msg && pageListOf(memory, msg) });
  }

  private comesBack(call: number): void {
    const lent = this.inside.get(call);
    if (lent === undefined) return;
    this.inside.delete(call);
    const { list } = lent;
    if (list?.live.some((page, at) => page.some((octet, i) => octet !== list.before[at]?.[i])))
      this.says(`the page list that call ${call} registers changed while secure world had it`);
  }
}

/** The message at an address, with room for one parameter; undefined when it is not in memory that both reach. */
function messageAt(memory: PhysicalMemory, address: number): MsgArg | undefined {
  try {
    return new MsgArg(memory.window(address, msgArgSize(1)));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The page list that a message registers; undefined when it is no such message. */
function pageListOf(memory: PhysicalMemory, msg: MsgArg): Lent['list'] {
  try {
    if (msg.cmd !== OpteeMsgCmd.registerShm || (msg.attr(0) & 0xff) !== OpteeMsgAttr.tmemOutput) return undefined;
    if ((msg.attr(0) & attrNoncontig) === 0) return undefined;
    const offset = msg.a(0) % pageSize;
    const pages = Math.ceil((offset + msg.b(0)) / pageSize);
    const live: Uint8Array[] = [];
    for (let at = msg.a(0) - offset, left = pages; left > 0; left -= pageSize / 8 - 1) {
      const page = memory.window(at, pageSize);
      live.push(page);
      at = Number(new DataView(page.buffer, page.byteOffset).getBigUint64(pageSize - 8, true));
    }
    return { live, before: live.map((page) => page.slice()) };
  } catch (error) {
    // Not in memory that both reach: secure world will say so.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
