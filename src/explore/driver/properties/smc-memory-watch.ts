import type { SmcRegisters } from '../../../protocol/conduit.js';
import { attrNoncontig, type MsgArg, OpteeMsgAttr, OpteeMsgCmd } from '../../../protocol/optee-msg.js';
import { fromRegisterPair, OpteeSmc } from '../../../protocol/optee-smc.js';
import { type PhysicalMemory, pageSize } from '../../../protocol/physical-memory.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import { type Lent, type MemoryOwners, messageAt, parametersOf } from './memory-owners.js';

/** A page list: a view of it, a copy of it, and the addresses of its own pages. */
interface PageList {
  readonly live: readonly Uint8Array[];
  readonly before: readonly Uint8Array[];
  readonly at: readonly number[];
}

/** A registration of memory by a call, or the end of one. */
type MemoryRequest =
  | { readonly what: 'registers'; readonly cookie: number; readonly pages: readonly number[] }
  | { readonly what: 'ends'; readonly cookie: number };

/** The request of a call about memory. It takes effect when the call returns with success. */
interface Asking {
  readonly asks: MemoryRequest | undefined;
  /** The page list of the registration, as it was when the call entered. */
  readonly list: PageList | undefined;
}

/** Memory over raw SMCs: calls register and unregister it. */
export class SmcMemoryWatch {
  private readonly asking = new Map<number, Asking>();

  constructor(
    private readonly owners: MemoryOwners,
    private readonly memory: PhysicalMemory,
    private readonly says: (what: string) => void,
    private readonly looks: (call: number, message: MsgArg) => void,
  ) {}

  goes(call: number, { a0, a1, a2, a3 }: SmcRegisters): undefined {
    if (a0 !== OpteeSmc.callWithArg && a0 !== OpteeSmc.callWithRpcArg && a0 !== OpteeSmc.callWithRegdArg) return;
    const { owners } = this;
    const inShared = a0 === OpteeSmc.callWithRegdArg;
    const place = fromRegisterPair(a1, a2);
    const page = inShared ? owners.pagesOf(place)?.[Math.floor(a3 / pageSize)] : undefined;
    const address = inShared ? (page === undefined ? undefined : page + (a3 % pageSize)) : place;
    const msg = address === undefined ? undefined : messageAt(this.memory, address);
    if (msg !== undefined) this.looks(call, msg);
    const list = msg && pageListOf(this.memory, msg);
    const asks = msg && requestOf(msg, list?.live);
    if (asks !== undefined) this.checkOwner(call, asks);
    const own = `call ${call} has its message or page list`;
    if (inShared) owners.checkMessageIn(call, place);
    else owners.checkPlace(own, place);
    for (const at of list?.at ?? []) owners.checkPlace(own, at);
    // The memory in a request about memory is not memory that the call uses.
    const uses = msg === undefined || asks !== undefined ? [] : parametersOf(msg);
    const lent: Lent = { message: [inShared ? a3 : '', a1, a2].join(), uses: inShared ? [...uses, place] : uses, msg };
    owners.enters(call, lent);
    this.asking.set(call, { asks, list });
  }

  comesBack(call: number): void {
    const lent = this.owners.comesBack(call);
    const asking = this.asking.get(call);
    this.asking.delete(call);
    if (lent === undefined || asking === undefined) return;
    const { asks, list } = asking;
    if (lent.msg?.ret === TeeResult.SUCCESS) {
      if (asks?.what === 'registers') this.owners.isShared(asks.cookie, asks.pages);
      if (asks?.what === 'ends') this.owners.isGone(asks.cookie);
    }
    if (list?.live.some((page, at) => page.some((octet, i) => octet !== list.before[at]?.[i])))
      this.says(`the page list that call ${call} registers changed while secure world had it`);
  }

  /** Check that a page has one owner. */
  private checkOwner(call: number, asks: MemoryRequest): void {
    const who = `call ${call}`;
    if (asks.what === 'ends') {
      this.owners.ends(who, asks.cookie);
      return;
    }
    const coming = Array.from(this.asking.values(), ({ asks: other }) => other).flatMap((other) =>
      other?.what === 'registers' ? [[other.cookie, other.pages] as const] : [],
    );
    this.owners.shares(who, String(asks.cookie), asks.pages, coming);
  }
}

/** Addresses per page of a page list; the last word links to the next page. */
const entriesPerPage = pageSize / 8 - 1;

/** The request of a message about memory. @param list the page list, if the message registers memory. */
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

/** The page list of a message that registers memory; undefined for other messages. */
function pageListOf(memory: PhysicalMemory, msg: MsgArg): PageList | undefined {
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
    // Not in shared memory: secure world will refuse it.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
