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

/** The state shared by the parts of a driver instance: Linux's `struct optee`. */
export class Optee {
  /** RPCs that are being served. */
  readonly rpcs = new Set<RpcInService>();
  /** Memory allocated by supplicants. A supplicant may only give secure world memory from this set. */
  readonly supplicantMemory = new WeakSet<TeeShm>();
  /** Calls from their arrival at the queue to their return. */
  readonly callsInFlight = new CallList();
  /** The last panic of each application, if the world reports panics. */
  readonly panics = new Map<Uuid, TaPanicReport>();
  private calls = 0;
  private over = false;

  constructor(
    readonly callQueue: CallQueue,
    readonly pool: ShmPool,
    /** Memory for messages: reserved memory if there is some, else the pool. */
    readonly messagePool: ShmPool,
    readonly notifications: Notifications,
    readonly supplicant: SupplicantQueue,
    readonly rpmb: RpmbRpc,
    readonly i2c: I2cRpc,
    /** The driver's own context, for memory that belongs to no client. */
    readonly kernelContext: TeeContext,
    readonly clock: Clock,
    readonly schedule: Schedule,
    readonly trace: Trace,
  ) {}

  /** Shared memory in use, in bytes. */
  get sharedMemoryInUse(): number {
    const { pool, messagePool } = this;
    return pool.bytesInUse + (messagePool === pool ? 0 : messagePool.bytesInUse);
  }

  /** Physical address and size of each piece in use. */
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
      switches: undefined,
      trouble: undefined,
      next: undefined,
      previous: undefined,
    };
  }

  /** Whether the call counts as a relief call at present. */
  isRelief({ relief, application }: Call): boolean {
    if (relief !== 'if-idle') return relief;
    for (const call of this.callsInFlight) if (call.inside && call.application === application) return false;
    return true;
  }

  /** Secure world is dead, or the driver is being removed without waiting for it. */
  get ended(): boolean {
    return this.over;
  }

  /** Secure world can no longer be reached: wake everything that waits for it or on its behalf. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.notifications.end();
    this.supplicant.close('secure world is dead');
    for (const rpc of [...this.rpcs]) rpc.end?.();
    this.pool.end();
  }

  /** A client died: end the sleeps of its calls in the normal world. */
  interrupt(context: TeeContext): void {
    for (const rpc of [...this.rpcs]) if (rpc.call.context === context) rpc.interrupt?.();
  }

  /**
   * Report that secure world violated the protocol in this call (0: in no call). The request was refused and the driver
   * continues.
   */
  violation(call: number, what: string): void {
    if (this.trace.on) this.trace.emit({ type: 'protocol-violation', call, what });
  }
}
