import { attrTypeMask, MsgArg, msgArgSize, OpteeMsgAttr } from '../../../protocol/optee-msg.js';
import { type PhysicalMemory, pageSize } from '../../../protocol/physical-memory.js';

/** The memory that a call in secure world has passed to it. */
export interface Lent {
  /** The place of its message, as given in the call. */
  readonly message: string;
  /** Ids of the shared memory that contains its message, and that its parameters refer to. */
  readonly uses: readonly number[];
  /** Its message, which will contain the answer; undefined if it is not in shared memory. */
  readonly msg: MsgArg | undefined;
}

/** Memory that secure world knows. */
interface Known {
  readonly pages: readonly number[];
  /** Secure world has unregistered it. Over FF-A it belongs to the driver only after it is reclaimed. */
  forgotten: boolean;
}

/**
 * The ownership of shared memory, for both ABIs. A page is known to secure world under one id at a time. A message
 * belongs to one call at a time. Memory that a call uses is not taken back while the call is inside.
 */
export class MemoryOwners {
  private readonly inside = new Map<number, Lent>();
  private readonly known = new Map<number, Known>();

  /** @param says reports a violation. */
  constructor(private readonly says: (what: string) => void) {}

  /** The pages of memory that secure world knows; undefined if the id is unknown. */
  pagesOf(id: number): readonly number[] | undefined {
    const known = this.known.get(id);
    return known?.forgotten === false ? known.pages : undefined;
  }

  /** A call enters secure world with a message. */
  enters(call: number, lent: Lent): void {
    for (const [other, { message }] of this.inside)
      if (message === lent.message && other !== call)
        this.says(`call ${call} enters with the message of call ${other}, which is inside`);
    this.inside.set(call, lent);
  }

  /** A call has returned. @returns the memory that it had passed. */
  comesBack(call: number): Lent | undefined {
    const lent = this.inside.get(call);
    this.inside.delete(call);
    return lent;
  }

  /** Memory is about to be registered or shared. @param coming other registrations that are in progress. */
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

  /** Memory is about to be unregistered. */
  ends(who: string, id: number): void {
    if (this.pagesOf(id) === undefined) this.says(`${who} ends memory ${id}, which secure world does not know`);
    for (const [call, { uses }] of this.inside)
      if (uses.includes(id)) this.says(`${who} ends memory ${id}, which call ${call} has inside`);
  }

  /** Secure world has unregistered it and must not write it any more. */
  isForgotten(id: number): void {
    const known = this.known.get(id);
    if (known !== undefined) known.forgotten = true;
  }

  /** The driver is about to reclaim it. */
  reclaims(id: number): void {
    const known = this.known.get(id);
    if (known === undefined) this.says(`memory ${id} is reclaimed, which is not shared`);
    else if (!known.forgotten) this.says(`memory ${id} is reclaimed before secure world has forgotten it`);
  }

  isGone(id: number): void {
    this.known.delete(id);
  }

  /** The driver uses this address for itself: it must not be in memory that is registered for a client. */
  checkPlace(what: string, address: number): void {
    const page = address - (address % pageSize);
    for (const [id, { pages }] of this.known)
      if (pages.includes(page)) this.says(`${what} in memory ${id}, which secure world has`);
  }

  /** A message is in shared memory: this memory must not be a parameter of another call. */
  checkMessageIn(call: number, id: number): void {
    if (this.pagesOf(id) === undefined)
      this.says(`call ${call} has its message in memory ${id}, which secure world does not know`);
    for (const [other, { msg }] of this.inside)
      if (other !== call && msg !== undefined && parametersOf(msg).includes(id))
        this.says(`call ${call} has its message in memory ${id}, which call ${other} has as a parameter`);
  }
}

/** The message at an address; undefined if it is not in shared memory. */
export function messageAt(memory: PhysicalMemory, address: number): MsgArg | undefined {
  try {
    const { paramCount } = new MsgArg(memory.window(address, msgArgSize(0)));
    return new MsgArg(memory.window(address, msgArgSize(paramCount)));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The ids of shared memory in a message's parameters. */
export function parametersOf(msg: MsgArg): number[] {
  const ids: number[] = [];
  for (let index = 0; index < msg.paramCount; index++) {
    const type = msg.attr(index) & attrTypeMask;
    if (type >= OpteeMsgAttr.rmemInput && type <= OpteeMsgAttr.rmemInout) ids.push(msg.c(index));
  }
  return ids;
}
