import type { Clock } from '../clock/clock.js';
import type { Schedule } from '../clock/schedule.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { CallPurpose } from '../trace/event.js';
import type { Trace } from '../trace/trace.js';
import type { CallQueue } from './call-queue/call-queue.js';
import type { Notifications } from './notification.js';
import type { Call } from './optee-abi.js';
import type { RpcInService } from './rpc-in-service.js';
import type { RpmbRpc } from './rpmb-rpc.js';
import type { ShmPool } from './shm-pool.js';
import type { SupplicantQueue } from './supplicant-queue.js';

/** What the parts of one driver instance share: Linux's `struct optee`. */
export class Optee {
  /** RPCs that are being served. */
  readonly rpcs = new Set<RpcInService>();
  /** Memory that supplicants allocated: only this may they give to secure world. */
  readonly supplicantMemory = new WeakSet<TeeShm>();
  private calls = 0;

  constructor(
    readonly callQueue: CallQueue,
    readonly pool: ShmPool,
    /** Where messages lie: reserved memory where there is some, else the pool. */
    readonly messagePool: ShmPool,
    readonly notifications: Notifications,
    readonly supplicant: SupplicantQueue,
    readonly rpmb: RpmbRpc,
    /** The driver's own context: memory that belongs to no client. */
    readonly kernelContext: TeeContext,
    readonly clock: Clock,
    readonly schedule: Schedule,
    readonly trace: Trace,
  ) {}

  /** Bytes of shared memory in use. */
  get sharedMemoryInUse(): number {
    const { pool, messagePool } = this;
    return pool.bytesInUse + (messagePool === pool ? 0 : messagePool.bytesInUse);
  }

  newCall(context: TeeContext, purpose: CallPurpose, session: number, system: boolean): Call {
    return { id: ++this.calls, context, purpose, session, system, trouble: undefined };
  }

  /** Secure world broke the protocol in this call (0: in none); it was refused and nothing was lost. */
  violation(call: number, what: string): void {
    if (this.trace.on) this.trace.emit({ type: 'protocol-violation', call, what });
  }
}
