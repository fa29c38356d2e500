import { MsgArg, msgArgSize } from '../protocol/optee-msg.js';
import { type PhysicalAddress, pageSize } from '../protocol/physical-memory.js';
import { eachStep } from '../tee/each-step.js';
import type { TeeShm } from '../tee/tee-shm.js';

/** The most parameters a message of ours has: four of the client and two meta parameters of an OPEN_SESSION. */
export const maxArgParamCount = 6;

/** A place for one message, and for the RPC message behind it when secure world wants one there. */
export class MessageSlot {
  readonly msg: MsgArg;
  private paramCount = 0;
  private readonly rpcMessages: (MsgArg | undefined)[] = [];

  constructor(
    readonly shm: TeeShm,
    /** Bytes from the start of `shm`. */
    readonly offset: number,
    private readonly bytes: Uint8Array,
    private readonly rpcParamCount: number,
  ) {
    this.msg = new MsgArg(bytes.subarray(0, msgArgSize(maxArgParamCount)));
  }

  get address(): PhysicalAddress {
    return this.shm.address + this.offset;
  }

  /** A message of so many parameters begins here: it and they are zero. */
  begin(paramCount: number): MsgArg {
    this.paramCount = paramCount;
    this.msg.reset(paramCount);
    return this.msg;
  }

  /** The RPC message behind the message that began here: what stands in the message now may be secure world's. */
  rpcMessage(): MsgArg {
    const { paramCount } = this;
    let message = this.rpcMessages[paramCount];
    if (message === undefined) {
      const offset = msgArgSize(paramCount);
      message = new MsgArg(this.bytes.subarray(offset, offset + msgArgSize(this.rpcParamCount)));
      this.rpcMessages[paramCount] = message;
    }
    return message;
  }
}

/** How a call is to be let into secure world. */
export interface Entry {
  /** As a call of a system session. */
  readonly system: boolean;
  /** Before others: see `CallQueue.enter`. */
  readonly relief: boolean;
}

/**
 * Memory for messages, kept between calls: Linux's `optee_shm_arg_cache`. It grows by a page when all places are taken,
 * which with registered pages is a call to secure world of its own.
 */
export class ArgCache {
  private readonly free: MessageSlot[] = [];
  private readonly pages: TeeShm[] = [];
  private growing: Promise<void> | undefined;
  private readonly slotSize: number;

  /**
   * @param allocatePage one page for messages. Its registration enters as the call that the message is for: it must not wait
   *   behind others, or a thread that is kept for the call would be of no use to it.
   * @param shared whether messages may lie elsewhere than at the start of that page.
   * @param rpcParamCount parameters of the RPC message behind each message; 0 when there is none.
   */
  constructor(
    private readonly allocatePage: (entry: Entry) => TeeShm | Promise<TeeShm>,
    private readonly shared: (page: TeeShm) => boolean,
    private readonly rpcParamCount: number,
  ) {
    this.slotSize = msgArgSize(maxArgParamCount) + (rpcParamCount > 0 ? msgArgSize(rpcParamCount) : 0);
  }

  /** A free place; a promise when a page has to be fetched first. */
  acquire(entry: Entry): MessageSlot | Promise<MessageSlot> {
    return this.free.pop() ?? this.acquireSlowly(entry);
  }

  release(slot: MessageSlot): void {
    this.free.push(slot);
  }

  /** Give all pages back. No message may be in use. */
  dispose(): Promise<void> {
    this.free.length = 0;
    return eachStep(this.pages.splice(0).map((page) => () => page.put()));
  }

  private async acquireSlowly(entry: Entry): Promise<MessageSlot> {
    for (;;) {
      const slot = this.free.pop();
      if (slot !== undefined) return slot;
      if (entry.system || entry.relief) {
        await this.grow(entry);
      } else {
        this.growing ??= this.grow(entry).finally(() => {
          this.growing = undefined;
        });
        await this.growing;
      }
    }
  }

  private async grow(entry: Entry): Promise<void> {
    const page = await this.allocatePage(entry);
    this.pages.push(page);
    const count = this.shared(page) ? Math.floor(pageSize / this.slotSize) : 1;
    for (let index = 0; index < count; index++) {
      const offset = index * this.slotSize;
      const bytes = page.bytes.subarray(offset, offset + this.slotSize);
      this.free.push(new MessageSlot(page, offset, bytes, this.rpcParamCount));
    }
  }
}
