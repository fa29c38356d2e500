import type { Clock } from '../clock/clock.js';
import type { Schedule } from '../clock/schedule.js';
import type { TaPanicReport } from '../protocol/secure-world.js';
import type { Uuid } from '../protocol/uuid.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { CallPurpose } from '../trace/event.js';
import type { Trace } from '../trace/trace.js';
import type { Call } from './call.js';
import { CallList } from './call-list.js';
import type { CallQueue } from './call-queue/call-queue.js';
import type { Notifications } from './notification.js';
import type { I2cRpc } from './rpc/i2c-rpc.js';
import type { RpcInService } from './rpc/rpc-in-service.js';
import type { RpmbRpc } from './rpc/rpmb-rpc.js';
import type { SupplicantQueue } from './rpc/supplicant-queue.js';
import type { ShmPool } from './shm-pool.js';

/** What the parts of one driver instance share: Linux's `struct optee`. */
export class Optee {
  /** RPCs that are being served. */
  readonly rpcs = new Set<RpcInService>();
  /** Memory that supplicants allocated: only this may they give to secure world. */
  readonly supplicantMemory = new WeakSet<TeeShm>();
  /** Calls from their place in the queue to their return. */
  readonly callsInFlight = new CallList();
  /** The last panic of each application, where the world tells of panics. */
  readonly panics = new Map<Uuid, TaPanicReport>();
  private calls = 0;
  private over = false;

  constructor(
    readonly callQueue: CallQueue,
    readonly pool: ShmPool,
    /** Where messages lie: reserved memory where there is some, else the pool. */
    readonly messagePool: ShmPool,
    readonly notifications: Notifications,
    readonly supplicant: SupplicantQueue,
    readonly rpmb: RpmbRpc,
    readonly i2c: I2cRpc,
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

  /** Its pieces: physical address and bytes of each. */
  get sharedMemoryPlaces(): readonly (readonly [number, number])[] {
    const { pool, messagePool } = this;
    return messagePool === pool ? pool.placesInUse : [...pool.placesInUse, ...messagePool.placesInUse];
  }

  newCall(
    context: TeeContext,
    purpose: CallPurpose,
    session: number,
    system: boolean,
    relief: Call['relief'],
    application?: Uuid,
  ): Call {
    return {
      id: ++this.calls,
      context,
      purpose,
      session,
      system,
      relief,
      application,
      inside: false,
      trouble: undefined,
      next: undefined,
      previous: undefined,
    };
  }

  /** The call is a relief call, as things are. */
  isRelief({ relief, application }: Call): boolean {
    if (relief !== 'if-idle') return relief;
    for (const call of this.callsInFlight) if (call.inside && call.application === application) return false;
    return true;
  }

  /** Secure world is dead, or the driver goes without waiting for it. */
  get ended(): boolean {
    return this.over;
  }

  /** Secure world cannot be reached any more: whatever waits for it, or on its behalf, goes on and finds that out. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.notifications.end();
    this.supplicant.close('secure world is dead');
    for (const rpc of [...this.rpcs]) rpc.end?.();
  }

  /** A client died: what its calls sleep for in the normal world is over. */
  interrupt(context: TeeContext): void {
    for (const rpc of [...this.rpcs]) if (rpc.call.context === context) rpc.interrupt?.();
  }

  /** Secure world broke the protocol in this call (0: in none); it was refused and nothing was lost. */
  violation(call: number, what: string): void {
    if (this.trace.on) this.trace.emit({ type: 'protocol-violation', call, what });
  }
}
