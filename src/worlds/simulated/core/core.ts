import type { Clock } from '../../../clock/clock.js';
import type { Random } from '../../../clock/random.js';
import type { Schedule } from '../../../clock/schedule.js';
import type { SmcRegisters } from '../../../protocol/conduit.js';
import { smcRegisters } from '../../../protocol/conduit.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import { OpteeSmcRpc, rpcReturn } from '../../../protocol/optee-smc.js';
import { FfaShares } from '../memory/ffa-shares.js';
import { type Mobj, RegisteredShm } from '../memory/mobj.js';
import type { NonSecureMemory } from '../memory/non-secure-memory.js';
import { notificationRpc } from '../rpc/thread-rpc.js';
import type { Routine } from '../threads/routine.js';
import { until } from '../threads/routine.js';
import { Thread } from '../threads/thread.js';
import type { NotificationFunction } from '../threads/wait-queue.js';
import { Condition, WaitQueue } from '../threads/wait-queue.js';
import type { CoreConfiguration } from './configuration.js';
import type { Faults } from './faults.js';
import { AsyncNotif, asyncNotifMax, type NotificationDriver } from './notif.js';

/** Events in secure world, for a trace. */
export type SecureWorldEvent =
  /** OP-TEE's log: why a request was refused. */
  | { readonly type: 'log'; readonly text: string }
  | {
      readonly type: 'panic';
      readonly uuid: string;
      readonly code: number;
      /** Name and message of the error that ended it; undefined if what was thrown is no error. */
      readonly text: string | undefined;
      /** It is an exception of an application in TypeScript, not TEE_Panic, which has only a code. */
      readonly isException: boolean;
    };

/** CFG_NUM_THREADS thread contexts and their shared state: the global state of OP-TEE's core. */
export class Core {
  readonly threads: readonly Thread[];
  readonly registeredShm = new RegisteredShm();
  readonly asyncNotif = new AsyncNotif();
  /** Memory shared over FF-A; undefined with raw SMCs. */
  readonly ffaShares: FfaShares | undefined;
  /** thread_prealloc_rpc_cache: RPC messages stay allocated between calls. */
  preallocRpcCache = false;

  /** Threads that wait until calls release registered memory. */
  readonly shmWaiters = this.createWaitQueue();
  readonly shmReleased = new Condition();

  constructor(
    readonly configuration: CoreConfiguration,
    readonly memory: NonSecureMemory,
    readonly clock: Clock,
    readonly schedule: Schedule,
    readonly random: Random,
    readonly faults: Faults,
    readonly trace: ((event: SecureWorldEvent) => void) | undefined,
    readonly notificationDriver: NotificationDriver,
  ) {
    this.ffaShares = configuration.ffa ? new FfaShares(memory, this.registeredShm) : undefined;
    this.threads = Array.from({ length: configuration.threads }, (_, id) => new Thread(id));
    for (const thread of this.threads.slice(0, faults.threadsMissing ?? 0)) {
      thread.state = 'active';
      thread.activity = 'missing from the start';
    }
  }

  /**
   * do_notif(): sleep on, or wake, a thread's notification value. The result is ignored: the woken thread checks again.
   */
  *notify(thread: Thread, func: NotificationFunction, sleeper: number): Routine<void> {
    yield* notificationRpc(this, thread, func, this.notificationBase + sleeper);
  }

  /** A wait queue for threads of this core. */
  createWaitQueue(): WaitQueue {
    return new WaitQueue((thread, func, sleeper) => this.notify(thread, func, sleeper));
  }

  /** Find shared memory by its cookie, or over FF-A by its handle. Takes no reference. */
  findShm(cookie: number): Mobj | undefined {
    return this.registeredShm.find(cookie) ?? this.ffaShares?.retrieve(cookie);
  }

  /** OP-TEE does not need this memory of the normal world any more. */
  forgetShm(mobj: Mobj): void {
    if (this.ffaShares === undefined) this.registeredShm.remove(mobj);
    else this.ffaShares.relinquish(mobj);
  }

  /** EMSG: log why a request was refused. */
  log(text: string): void {
    this.trace?.({ type: 'log', text });
  }

  /** alloc_thread(): the first free context, made active. */
  allocateThread(): Thread | undefined {
    for (const thread of this.threads) {
      if (thread.state !== 'free') continue;
      thread.state = 'active';
      return thread;
    }
    return undefined;
  }

  get idle(): boolean {
    return this.threads.every((thread) => thread.state === 'free');
  }

  /** NOTIF_SYNC_VALUE_BASE: the notification value that thread 0 sleeps on. */
  get notificationBase(): number {
    return this.configuration.asyncNotif ? asyncNotifMax + 1 : 0;
  }

  /**
   * Suspend a thread for an RPC: thread_rpc(). This is the only way back to the normal world during a call.
   * @param request a description of the request, for messages.
   */
  *rpc(thread: Thread, func: number, a1: number, a2: number, request: string, message?: MsgArg): Routine<SmcRegisters> {
    const asked = smcRegisters(rpcReturn(func), a1, a2, thread.id);
    const fault = this.faults.rpc?.({ thread: thread.id, func, registers: asked, message });
    thread.request = request;
    if (fault === 'lost') {
      thread.state = 'suspended';
      yield new Promise(() => {});
    }
    const registers = typeof fault === 'object' ? fault : asked;
    const again = fault === 'twice' ? message?.bytes.slice() : undefined;
    const answer = yield* until(thread.suspend(registers));
    if (fault !== 'twice') return answer;
    if (message !== undefined && again !== undefined) message.bytes.set(again);
    thread.request = request;
    return yield* until(thread.suspend(registers));
  }

  /** Let a thread compute in secure world. An interrupt for the normal world may take it out in between. */
  *compute(thread: Thread, ms: number): Routine<void> {
    const period = this.faults.foreignInterruptPeriodMs ?? Number.POSITIVE_INFINITY;
    const end = this.clock.now() + ms;
    let remaining = ms;
    while (remaining > 0) {
      const slice = Math.min(remaining, period);
      const interrupted = yield* until(this.busy(thread, slice));
      remaining = end - this.clock.now();
      // The answer to a foreign interrupt carries no data.
      if (interrupted || slice === period) yield* this.rpc(thread, OpteeSmcRpc.foreignInterrupt, 0, 0, 'FOREIGN_INTR');
    }
  }

  private busy(thread: Thread, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (interrupted: boolean) => {
        thread.interrupt = undefined;
        resolve(interrupted);
      };
      const cancel = this.clock.setTimer(ms, () => end(false));
      thread.interrupt = () => {
        cancel();
        end(true);
      };
    });
  }
}
