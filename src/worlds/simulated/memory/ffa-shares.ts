import type { MemoryTransaction } from '../../../protocol/ffa.js';
import { FfaError, readMemoryTransaction } from '../../../protocol/ffa.js';
import { pageSize } from '../../../protocol/physical-memory.js';
import { Mobj, type RegisteredShm } from './mobj.js';
import type { NonSecureMemory } from './non-secure-memory.js';
import { normalWorldId, opteeId } from './partitions.js';

/** First handle. It has a non-zero upper half, so that a driver that drops that half fails at once. */
const firstHandle = 0x1_0000_0001;

/** SPMC_CORE_SEL1_MAX_SHM_COUNT: OP-TEE's maximum number of shares. */
export const maxShares = 64;

interface Share {
  readonly transaction: MemoryTransaction;
  readonly pages: readonly number[];
  /** Whether OP-TEE has mapped it. */
  retrieved: boolean;
}

/** A transaction whose descriptor is incomplete. */
interface Incoming {
  readonly descriptor: Uint8Array;
  received: number;
}

/**
 * Memory that the normal world shares with OP-TEE's partition, by handle: the memory transactions that a secure
 * partition manager keeps, and the partition's side of them. A page can be in one share only. The owner cannot reclaim
 * a share that the partition has retrieved. Source: FF-A specification 1.1, chapter 10; core/arch/arm/mm/mobj_ffa.c.
 */
export class FfaShares {
  private readonly shares = new Map<number, Share>();
  private readonly incoming = new Map<number, Incoming>();
  private readonly sharedPages = new Set<number>();
  private nextHandle = firstHandle;

  constructor(
    private readonly memory: NonSecureMemory,
    private readonly registeredShm: RegisteredShm,
  ) {}

  /** The number of transactions that have not been reclaimed. */
  get count(): number {
    return this.shares.size + this.incoming.size;
  }

  /**
   * FFA_MEM_SHARE: the first fragment of a descriptor of `total` bytes.
   * @returns the handle, and how many bytes of the descriptor have been received; or an error code.
   */
  share(total: number, piece: Uint8Array): { readonly handle: number; readonly received: number } | number {
    if (piece.length > total || piece.length === 0) return FfaError.invalidParameters;
    // A larger descriptor would describe more than all of DRAM, page by page.
    if (total > 1024 + (this.memory.dram.size / pageSize) * 16) return FfaError.noMemory;
    if (this.count >= maxShares) return FfaError.noMemory;
    const handle = this.nextHandle++;
    this.incoming.set(handle, { descriptor: new Uint8Array(total), received: 0 });
    return this.more(handle, piece);
  }

  /** FFA_MEM_FRAG_TX: the next fragment. */
  more(handle: number, piece: Uint8Array): { readonly handle: number; readonly received: number } | number {
    const incoming = this.incoming.get(handle);
    if (incoming === undefined) return FfaError.invalidParameters;
    const { descriptor } = incoming;
    if (piece.length === 0 || incoming.received + piece.length > descriptor.length) {
      this.incoming.delete(handle);
      return FfaError.invalidParameters;
    }
    descriptor.set(piece, incoming.received);
    incoming.received += piece.length;
    if (incoming.received < descriptor.length) return { handle, received: incoming.received };
    this.incoming.delete(handle);
    const refusal = this.complete(handle, descriptor);
    return refusal ?? { handle, received: descriptor.length };
  }

  /** Whether fragments of its descriptor are missing. */
  isIncoming(handle: number): boolean {
    return this.incoming.has(handle);
  }

  /** FFA_MEM_RECLAIM: an error code, or undefined. */
  reclaim(handle: number): number | undefined {
    const share = this.shares.get(handle);
    if (share === undefined) return FfaError.invalidParameters;
    if (share.retrieved) return FfaError.denied;
    this.shares.delete(handle);
    for (const page of share.pages) this.sharedPages.delete(page);
    return undefined;
  }

  /** OP-TEE uses a handle: the memory, retrieved on the first use: mobj_ffa_get_by_cookie(). */
  retrieve(handle: number): Mobj | undefined {
    const share = this.shares.get(handle);
    if (share === undefined || share.retrieved) return undefined;
    const mobj = Mobj.registered(this.memory, share.pages, 0, handle);
    if (mobj === undefined) return undefined;
    mobj.guarded = false;
    share.retrieved = true;
    this.registeredShm.add(mobj);
    return mobj;
  }

  /**
   * OP-TEE unregisters a handle: mobj_ffa_unregister_by_cookie().
   * @returns BUSY while a call uses it. For a handle that was never used there is nothing to do.
   */
  unregister(handle: number): number {
    const mobj = this.registeredShm.find(handle);
    if (mobj === undefined) return 0;
    if (mobj.references > 1 || mobj.guarded) return FfaError.busy;
    this.relinquish(mobj);
    return 0;
  }

  /** FFA_MEM_RELINQUISH: OP-TEE gives up its access. */
  relinquish(mobj: Mobj): void {
    this.registeredShm.remove(mobj);
    const share = this.shares.get(mobj.cookie);
    if (share !== undefined) share.retrieved = false;
  }

  private complete(handle: number, descriptor: Uint8Array): number | undefined {
    const transaction = readMemoryTransaction(descriptor);
    if (transaction === undefined || transaction.sender !== normalWorldId || transaction.receiver !== opteeId)
      return FfaError.invalidParameters;
    const pages: number[] = [];
    for (const { base, size } of transaction.ranges) {
      if (!this.memory.isNonSecure(base, size)) return FfaError.denied;
      for (let page = base; page < base + size; page += pageSize) pages.push(page);
    }
    // A page that is already shared, or occurs twice, cannot be shared.
    if (pages.some((page) => this.sharedPages.has(page)) || new Set(pages).size !== pages.length)
      return FfaError.denied;
    for (const page of pages) this.sharedPages.add(page);
    this.shares.set(handle, { transaction, pages, retrieved: false });
    return undefined;
  }
}
