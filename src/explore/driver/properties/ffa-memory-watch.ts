import type { SmcRegisters } from '../../../protocol/conduit.js';
import { Ffa, readMemoryTransaction } from '../../../protocol/ffa.js';
import { OpteeFfa } from '../../../protocol/optee-ffa.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import { fromRegisterPair } from '../../../protocol/optee-smc.js';
import { type PhysicalMemory, pageSize } from '../../../protocol/physical-memory.js';
import { type MemoryOwners, messageAt, parametersOf } from './memory-owners.js';

/** A share whose descriptor is being sent in fragments. */
interface Sharing {
  readonly total: number;
  readonly pieces: Uint8Array[];
}

/** Called with the result registers of an SMC. */
type Told = (returned: SmcRegisters) => void;

/**
 * Memory over FF-A: shared with FFA_MEM_SHARE, unregistered by a message to OP-TEE, and then reclaimed with
 * FFA_MEM_RECLAIM.
 */
export class FfaMemoryWatch {
  /** Address of the transmit mailbox. */
  private mailbox = 0;
  /** There is one transmit mailbox, so at most one descriptor is sent in fragments. */
  private sharing: Sharing | undefined;

  constructor(
    private readonly owners: MemoryOwners,
    private readonly memory: PhysicalMemory,
    private readonly looks: (call: number, message: MsgArg) => void,
  ) {}

  /** @returns the handler for the result registers. */
  goes(call: number, { a0, a1, a2, a3, a4, a5, a6 }: SmcRegisters): Told | undefined {
    switch (a0) {
      case Ffa.rxtxMap:
        this.mailbox = a1;
        return undefined;
      case Ffa.memShare:
        this.sharing = { total: a1, pieces: [] };
        return this.piece(this.sharing, a2);
      case Ffa.memFragTx:
        return this.sharing && this.piece(this.sharing, a3);
      case Ffa.memReclaim: {
        const handle = fromRegisterPair(a2, a1);
        this.owners.reclaims(handle);
        return ({ a0: answer }) => {
          if (answer === Ffa.success) this.owners.isGone(handle);
        };
      }
      case Ffa.msgSendDirectReq: {
        const handle = fromRegisterPair(a5, a4);
        if (a3 === OpteeFfa.yieldingCallWithArg) this.enters(call, handle, a6);
        if (a3 !== OpteeFfa.unregisterShm) return undefined;
        this.owners.ends('the driver', handle);
        return ({ a0: answer, a3: error }) => {
          if (answer === Ffa.msgSendDirectResp && error === 0) this.owners.isForgotten(handle);
        };
      }
      default:
        return undefined;
    }
  }

  comesBack(call: number): void {
    this.owners.comesBack(call);
  }

  /** A fragment of a descriptor is sent; the last one shares the memory. */
  private piece({ total, pieces }: Sharing, length: number): Told {
    pieces.push(this.memory.window(this.mailbox, length).slice());
    const all = pieces.reduce((sum, { length: one }) => sum + one, 0) === total;
    const pages = all ? pagesOf(pieces) : [];
    this.owners.shares('the driver', 'to be shared', pages, []);
    return ({ a0, a2, a3 }) => {
      if (a0 !== Ffa.success) return;
      this.owners.isShared(fromRegisterPair(a3, a2), pages);
      this.sharing = undefined;
    };
  }

  private enters(call: number, handle: number, offset: number): void {
    // Messages without a call are from the probe, which counts the threads.
    if (call === 0) return;
    this.owners.checkMessageIn(call, handle);
    const page = this.owners.pagesOf(handle)?.[Math.floor(offset / pageSize)];
    const msg = page === undefined ? undefined : messageAt(this.memory, page + (offset % pageSize));
    if (msg !== undefined) this.looks(call, msg);
    const uses = msg === undefined ? [] : parametersOf(msg);
    this.owners.enters(call, { message: `${handle} ${offset}`, uses: [...uses, handle], msg });
  }
}

function pagesOf(pieces: readonly Uint8Array[]): number[] {
  const descriptor = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    descriptor.set(piece, at);
    at += piece.length;
  }
  const ranges = readMemoryTransaction(descriptor)?.ranges ?? [];
  return ranges.flatMap(({ base, size }) =>
    Array.from({ length: size / pageSize }, (_, page) => base + page * pageSize),
  );
}
