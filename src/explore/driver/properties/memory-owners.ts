import { attrTypeMask, MsgArg, msgArgSize, OpteeMsgAttr } from '../../../protocol/optee-msg.js';
import { type PhysicalMemory, pageSize } from '../../../protocol/physical-memory.js';

/** What a call that is inside has given to secure world. */
export interface Lent {
  /** Where its message is, as the call says it. */
  readonly message: string;
  /** Shared memory that its message lies in, and that its parameters refer to, by their ids. */
  readonly uses: readonly number[];
  /** Its message, where secure world's answer will be, and where both worlds reach it. */
  readonly msg: MsgArg | undefined;
}

/** Memory that secure world knows. */
interface Known {
  readonly pages: readonly number[];
  /** Secure world was told to forget it, and has; over FF-A it is not the driver's before it is reclaimed. */
  forgotten: boolean;
}

/**
 * Who owns each piece of shared memory, whichever way secure world is told of it: a page is known to it under one id at a time, a
 * message has one call at a time, and memory that a call was given is not taken back while that call is inside.
 */
export class MemoryOwners {
  private readonly inside = new Map<number, Lent>();
  private readonly known = new Map<number, Known>();

  /** @param says that something is broken, in words. */
  constructor(private readonly says: (what: string) => void) {}

  /** The pages of memory that secure world knows; undefined when it does not. */
  pagesOf(id: number): readonly number[] | undefined {
    const known = this.known.get(id);
    return known?.forgotten === false ? known.pages : undefined;
  }

  /** A call goes to secure world with a message. */
  enters(call: number, lent: Lent): void {
    for (const [other, { message }] of this.inside)
      if (message === lent.message && other !== call)
        this.says(`call ${call} enters with the message of call ${other}, which is inside`);
    this.inside.set(call, lent);
  }

  /** A call is back for good. @returns what it had given. */
  comesBack(call: number): Lent | undefined {
    const lent = this.inside.get(call);
    this.inside.delete(call);
    return lent;
  }

  /** Secure world is about to be told of memory. @param coming what others tell it of at this moment. */
  shares(
    who: string,
    id: string,
    pages: readonly number[],
    coming: Iterable<readonly [number, readonly number[]]>,
  ): void {
    const known = Array.from(this.known, ([other, its]) => [other, its.pages] as const);
    for (const [other, its] of [...known, ...coming])
      if (its.some((page) => pages.includes(page)))
        this.says(`${who} makes a page known as memory ${id} that is known as memory ${other}`);
  }

  isShared(id: number, pages: readonly number[]): void {
    this.known.set(id, { pages, forgotten: false });
  }

  /** Secure world is about to be told to forget memory. */
  ends(who: string, id: number): void {
    if (this.pagesOf(id) === undefined) this.says(`${who} ends memory ${id}, which secure world does not know`);
    for (const [call, { uses }] of this.inside)
      if (uses.includes(id)) this.says(`${who} ends memory ${id}, which call ${call} has inside`);
  }

  /** It has forgotten it, and may not write there any more. */
  isForgotten(id: number): void {
    const known = this.known.get(id);
    if (known !== undefined) known.forgotten = true;
  }

  /** The driver is about to have it again. */
  reclaims(id: number): void {
    const known = this.known.get(id);
    if (known === undefined) this.says(`memory ${id} is reclaimed, which is not shared`);
    else if (!known.forgotten) this.says(`memory ${id} is reclaimed before secure world has forgotten it`);
  }

  isGone(id: number): void {
    this.known.delete(id);
  }

  /** Something of the driver's own lies at this address: that must be no memory that secure world has as a client's. */
  checkPlace(what: string, address: number): void {
    const page = address - (address % pageSize);
    for (const [id, { pages }] of this.known)
      if (pages.includes(page)) this.says(`${what} in memory ${id}, which secure world has`);
  }

  /** A message lies in shared memory: that must be none that another call has as a parameter. */
  checkMessageIn(call: number, id: number): void {
    if (this.pagesOf(id) === undefined)
      this.says(`call ${call} has its message in memory ${id}, which secure world does not know`);
    for (const [other, { msg }] of this.inside)
      if (other !== call && msg !== undefined && parametersOf(msg).includes(id))
        this.says(`call ${call} has its message in memory ${id}, which call ${other} has as a parameter`);
  }
}

/** The message at an address; undefined when it is not in memory that both reach. */
export function messageAt(memory: PhysicalMemory, address: number): MsgArg | undefined {
  try {
    const { paramCount } = new MsgArg(memory.window(address, msgArgSize(0)));
    return new MsgArg(memory.window(address, msgArgSize(paramCount)));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Shared memory that a message's parameters name. */
export function parametersOf(msg: MsgArg): number[] {
  const ids: number[] = [];
  for (let index = 0; index < msg.paramCount; index++) {
    const type = msg.attr(index) & attrTypeMask;
    if (type >= OpteeMsgAttr.rmemInput && type <= OpteeMsgAttr.rmemInout) ids.push(msg.c(index));
  }
  return ids;
}
