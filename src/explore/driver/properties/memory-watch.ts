import type { SmcRegisters } from '../../../protocol/conduit.js';
import { attrNoncontig, MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../../protocol/optee-msg.js';
import { OpteeSmc } from '../../../protocol/optee-smc.js';
import { type PhysicalMemory, pageSize } from '../../../protocol/physical-memory.js';
import { type SecureWorld, secureWorldBut } from '../../../protocol/secure-world.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';

/** A list of pages as it is, as it was, and where its own pages are. */
interface PageList {
  readonly live: readonly Uint8Array[];
  readonly before: readonly Uint8Array[];
  readonly at: readonly number[];
}

/** Memory that secure world has for a call that is inside. */
interface Lent {
  /** Where the message is. */
  readonly message: string;
  /** The page list of memory being registered, as it was when the call entered. */
  readonly list: PageList | undefined;
  /** What it asks for about memory, and its message, where secure world's answer will be. */
  readonly asks: MemoryRequest | undefined;
  readonly msg: MsgArg | undefined;
}

/** Memory that secure world is told of, or is to forget. */
type MemoryRequest =
  | { readonly what: 'registers'; readonly cookie: number; readonly pages: readonly number[] }
  | { readonly what: 'ends'; readonly cookie: number };

/**
 * Stands between the driver and secure world and watches the memory that calls are made of: a message has one call at a time,
 * the list of pages that a call registers stays as it is while secure world may read it, and a page that secure world knows
 * has one owner: it is registered once, nothing else is put there, and its registration does not end while a call that was
 * given it is inside. Over raw SMCs.
 */
export class MemoryWatch {
  private readonly inside = new Map<number, Lent>();
  /** Pages that secure world knows, by cookie. */
  private readonly registered = new Map<number, readonly number[]>();
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
    const list = msg && pageListOf(memory, msg);
    const asks = msg && requestOf(msg, list?.live);
    if (asks !== undefined) this.checkOwner(asks);
    if (msg !== undefined) this.checkMessage(a1 * 2 ** 32 + a2, list?.at ?? []);
    this.inside.set(this.entering, { message, list, asks, msg });
  }

  /** One page has one owner. */
  private checkOwner(asks: MemoryRequest): void {
    if (asks.what === 'ends') {
      if (!this.registered.has(asks.cookie))
        this.says(
          `call ${this.entering} ends the registration of memory ${asks.cookie}, which secure world does not know`,
        );
      return;
    }
    const coming = Array.from(this.inside.values(), ({ asks: other }) => other).flatMap((other) =>
      other?.what === 'registers' ? [[other.cookie, other.pages] as const] : [],
    );
    for (const [cookie, pages] of [...this.registered, ...coming])
      if (pages.some((page) => asks.pages.includes(page)))
        this.says(
          `call ${this.entering} registers a page as memory ${asks.cookie} that is registered as memory ${cookie}`,
        );
  }

  /** Neither a message nor a list of pages lies in memory that secure world has as a client's. */
  private checkMessage(address: number, lists: readonly number[]): void {
    for (const place of [address, ...lists]) {
      const page = place - (place % pageSize);
      for (const [cookie, pages] of this.registered)
        if (pages.includes(page))
          this.says(`call ${this.entering} has its message or page list in memory ${cookie}, which secure world has`);
    }
  }

  private comesBack(call: number): void {
    const lent = this.inside.get(call);
    if (lent === undefined) return;
    this.inside.delete(call);
    const { list, asks, msg } = lent;
    if (msg?.ret === TeeResult.SUCCESS) {
      if (asks?.what === 'registers') this.registered.set(asks.cookie, asks.pages);
      if (asks?.what === 'ends') this.registered.delete(asks.cookie);
    }
    if (list?.live.some((page, at) => page.some((octet, i) => octet !== list.before[at]?.[i])))
      this.says(`the page list that call ${call} registers changed while secure world had it`);
  }
}

/** Addresses in one page of a page list; the last word links to the next. */
const entriesPerPage = pageSize / 8 - 1;

/** The message at an address, with room for one parameter; undefined when it is not in memory that both reach. */
function messageAt(memory: PhysicalMemory, address: number): MsgArg | undefined {
  try {
    return new MsgArg(memory.window(address, msgArgSize(1)));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What a message says of memory; `list`: its pages, when it registers some. */
function requestOf(msg: MsgArg, list: readonly Uint8Array[] | undefined): MemoryRequest | undefined {
  if (msg.cmd === OpteeMsgCmd.unregisterShm) return { what: 'ends', cookie: msg.c(0) };
  if (msg.cmd !== OpteeMsgCmd.registerShm || list === undefined) return undefined;
  const count = Math.ceil(((msg.a(0) % pageSize) + msg.b(0)) / pageSize);
  const pages = list.flatMap((page) => {
    const view = new DataView(page.buffer, page.byteOffset, pageSize);
    return Array.from({ length: entriesPerPage }, (_, entry) => Number(view.getBigUint64(entry * 8, true)));
  });
  return { what: 'registers', cookie: msg.c(0), pages: pages.slice(0, count) };
}

/** The page list that a message registers; undefined when it is no such message. */
function pageListOf(memory: PhysicalMemory, msg: MsgArg): Lent['list'] {
  try {
    if (msg.cmd !== OpteeMsgCmd.registerShm || (msg.attr(0) & 0xff) !== OpteeMsgAttr.tmemOutput) return undefined;
    if ((msg.attr(0) & attrNoncontig) === 0) return undefined;
    const offset = msg.a(0) % pageSize;
    const pages = Math.ceil((offset + msg.b(0)) / pageSize);
    const live: Uint8Array[] = [];
    const places: number[] = [];
    for (let at = msg.a(0) - offset, left = pages; left > 0; left -= entriesPerPage) {
      const page = memory.window(at, pageSize);
      live.push(page);
      places.push(at);
      at = Number(new DataView(page.buffer, page.byteOffset).getBigUint64(pageSize - 8, true));
    }
    return { live, before: live.map((page) => page.slice()), at: places };
  } catch (error) {
    // Not in memory that both reach: secure world will say so.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
