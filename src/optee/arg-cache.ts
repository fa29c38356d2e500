import { MsgArg, msgArgSize } from '../protocol/optee-msg.js';
import { type PhysicalAddress, pageSize } from '../protocol/physical-memory.js';
import { eachStep } from '../tee/each-step.js';
import type { TeeShm } from '../tee/tee-shm.js';

/** Largest number of parameters of a message: four of the client, and two meta parameters of OPEN_SESSION. */
export const maxArgParamCount = 6;

/** Memory for one message, and for the RPC message behind it if secure world wants one there. */
export class MessageSlot {
  readonly msg: MsgArg;
  private paramCount = 0;
  private readonly rpcMessages: (MsgArg | undefined)[] = [];

  constructor(
    readonly shm: TeeShm,
    /** Offset in `shm`, in bytes. */
    readonly offset: number,
    private readonly bytes: Uint8Array,
    private readonly rpcParamCount: number,
  ) {
    this.msg = new MsgArg(bytes.subarray(0, msgArgSize(maxArgParamCount)));
  }

  get address(): PhysicalAddress {
    return this.shm.address + this.offset;
  }

  /** Begin a message with this number of parameters; header and parameters are set to zero. */
  begin(paramCount: number): MsgArg {
    this.paramCount = paramCount;
    this.msg.reset(paramCount);
    return this.msg;
  }

  /**
   * The RPC message behind the message begun here. Its place does not depend on the message's content, which secure
   * world may have changed.
   */
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

/** How the call queue is to treat a call. */
export interface Entry {
  /** The call belongs to a system session. */
  readonly system: boolean;
  /** The call goes before others: see `CallQueue.enter`. */
  readonly relief: boolean;
}

/**
 * Memory for messages that is kept between calls, as in Linux's `optee_shm_arg_cache`. It grows by one page when all
 * slots are in use; with dynamic shared memory, registering the page is a call to secure world.
 */
export class ArgCache {
  private readonly free: MessageSlot[] = [];
  private readonly pages: TeeShm[] = [];
  private growing: Promise<void> | undefined;
  private readonly slotSize: number;

  /**
   * @param allocatePage allocates one page for messages. Its registration enters with the class of the call that needs
   * the message: otherwise it would wait behind other calls, although a thread is reserved for that call.
   * @param shared whether messages may begin at an offset in the page.
   * @param rpcParamCount number of parameters of the RPC message behind each message; 0 for no RPC message.
   */
  constructor(
    private readonly allocatePage: (entry: Entry) => TeeShm | Promise<TeeShm>,
    private readonly shared: (page: TeeShm) => boolean,
    private readonly rpcParamCount: number,
  ) {
    this.slotSize = msgArgSize(maxArgParamCount) + (rpcParamCount > 0 ? msgArgSize(rpcParamCount) : 0);
  }

  /** A free slot; a promise if a page must be allocated first. */
  acquire(entry: Entry): MessageSlot | Promise<MessageSlot> {
    return this.free.pop() ?? this.acquireSlowly(entry);
  }

  release(slot: MessageSlot): void {
    this.free.push(slot);
  }

  /** Free all pages. No message may be in use. */
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
