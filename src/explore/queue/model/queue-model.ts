import type { DisciplineName, QueueStep } from '../../../optee/call-queue/call-queue.js';
import { createCallQueue } from '../../../optee/call-queue/disciplines.js';
import { COUNTER_COUNT, type StorableCallQueue } from '../../../optee/call-queue/storable.js';
import { Caller, isRelief, type Operation, type Step } from './caller.js';

/** Linux's -EINVAL. */
export const EINVAL = -22;

/** The number of sessions that callers can share; other calls use session -1. */
export const SESSION_COUNT = 3;

/** Callers around one call queue, above a secure world with a number of threads. */
export interface ModelConfig {
  readonly discipline: DisciplineName;
  /** The number of threads that secure world announced; 0: none. */
  readonly totalThreadCount: number;
  /** The number of thread contexts that it really has. */
  readonly secureThreads: number;
  /** Sessions 0 to this number minus 1 are system sessions from the start, if the discipline grants it. */
  readonly initialSystemSessions: number;
  /** One thread is reserved for relief calls, if the discipline supports it. */
  readonly reserve?: boolean | undefined;
  readonly callers: readonly (readonly Operation[])[];
  /**
   * Other callers may consume their completions during a caller's `wait_final` (Linux only): the finest interleaving
   * that the kernel's lock allows.
   */
  readonly fine?: boolean;
  /** The labels of callers that repeat their list forever; the others end. */
  readonly repeating?: readonly number[];
}

/** The result of a step besides the new state. Fields that a step does not set keep their last value. */
export interface StepOutcome {
  /** `system_session`, `begin`: 0 or -EINVAL. */
  rc: number;
  /** `wait_init`, `thread_limit`: the caller must wait. */
  needWait: boolean;
  /** `requeue`: a completion was discarded. */
  discarded: boolean;
  /** `recheck`: the caller claimed a thread. */
  claimed: boolean;
  /** `smc`: secure world had a free thread. */
  entered: boolean;
  /** `system_session`: a reservation was requested from the queue. */
  asked: boolean;
  /** The queue was told of ETHREAD_LIMIT: the caller must repeat its SMC after a pause. */
  paused: boolean;
  /** The same without a pause, while queue and caller did not change, so that this can repeat forever. */
  spins: boolean;
}

/**
 * The system under exploration: callers as small state machines around the driver's real call queue, and a secure world
 * reduced to its number of free thread contexts. Each caller has at most one next step, so a schedule is a list of
 * callers.
 */
export class QueueModel {
  readonly queue: StorableCallQueue;
  readonly callers: readonly Caller[];
  readonly sessionIsSystem: boolean[];
  readonly sessionIsClosed: boolean[];
  /** Whether a caller makes relief calls, or a thread is reserved for them. */
  readonly relieves: boolean;
  secureFree: number;
  /** The caller that holds the queue's lock across steps (fine steps only). */
  lockedBy: Caller | undefined = undefined;
  readonly outcome: StepOutcome = {
    rc: 0,
    needWait: false,
    discarded: false,
    claimed: false,
    entered: false,
    asked: false,
    paused: false,
    spins: false,
  };
  private readonly countersBefore = new Int32Array(COUNTER_COUNT);
  private readonly countersAfter = new Int32Array(COUNTER_COUNT);

  /** @param queue the queue to use in place of the discipline's own. */
  constructor(
    readonly config: ModelConfig,
    queue?: StorableCallQueue,
  ) {
    this.queue = queue ?? createCallQueue(config.discipline, config.totalThreadCount, config.reserve);
    this.callers = config.callers.map(
      (operations, label) => new Caller(label, operations, config.repeating?.includes(label) ?? false),
    );
    this.relieves = config.reserve === true || config.callers.flat().some(isRelief);
    this.secureFree = config.secureThreads;
    this.sessionIsClosed = Array.from({ length: SESSION_COUNT }, () => false);
    this.sessionIsSystem = this.sessionIsClosed.map((_, s) => s < config.initialSystemSessions && this.queue.reserve());
  }

  /** The next step of this caller; undefined if it sleeps, waits for another caller, or is done. */
  next(caller: Caller): Step | undefined {
    const step = this.nextUnlocked(caller);
    if (this.lockedBy === undefined || this.lockedBy === caller) return step;
    // Another caller holds the lock: only a step that does not need it is possible.
    return step === 'wait_return' ? step : undefined;
  }

  private nextUnlocked(caller: Caller): Step | undefined {
    switch (caller.stage) {
      case 'idle':
        return caller.operation.op === 'system_session' ? 'system_session' : 'begin';
      case 'begun':
        return 'wait_init';
      case 'waiting':
        switch (caller.waiter.phase) {
          case 'requeue-claim':
          case 'requeue-thread-limit':
            return 'requeue';
          case 'recheck':
            return 'recheck';
          default:
            return caller.waiter.completed ? 'wait_return' : undefined;
        }
      case 'ready':
        return 'smc';
      case 'limited':
        return 'thread_limit';
      case 'in_secure':
        if (caller.rpcLeft > 0) return 'rpc_out';
        return this.mayReturn(caller.operation) ? 'smc_return' : undefined;
      case 'in_rpc':
        return 'rpc_back';
      case 'returned':
        return 'wait_final';
      case 'leaving':
        return 'wait_final_second';
      case 'releasing':
        return 'release';
      case 'done':
        return undefined;
    }
  }

  /** Take the caller's next step. The result is in `outcome`. */
  step(caller: Caller): Step {
    const step = this.next(caller);
    if (step === undefined) throw new Error(`caller ${caller.label} cannot step: ${caller.stage}`);
    this.take(caller, step);
    return step;
  }

  /** Take a step that must be the caller's next. */
  take(caller: Caller, step: Step): void {
    const { queue, outcome } = this;
    const { waiter } = caller;
    switch (step) {
      case 'system_session':
        outcome.rc = this.makeSystemSession(caller.operation.session);
        caller.endOperation();
        break;
      case 'begin':
        this.begin(caller);
        break;
      case 'wait_init':
        this.follow(caller, queue.enter(waiter, caller.system, caller.relief));
        outcome.needWait = caller.stage === 'waiting';
        break;
      case 'wait_return':
        this.follow(caller, queue.resume(waiter));
        break;
      case 'requeue':
        outcome.discarded = waiter.completed;
        this.follow(caller, queue.resume(waiter));
        break;
      case 'recheck':
        this.follow(caller, queue.resume(waiter));
        outcome.claimed = caller.stage === 'ready';
        break;
      case 'smc':
        outcome.entered = this.secureFree > 0;
        if (outcome.entered) {
          this.secureFree--;
          caller.stage = 'in_secure';
        } else if (queue.thinksOnThreadLimit) {
          caller.stage = 'limited';
        } else {
          this.refuse(caller);
        }
        break;
      case 'thread_limit':
        this.refuse(caller);
        outcome.needWait = caller.stage === 'waiting';
        break;
      case 'rpc_out':
        caller.rpcLeft--;
        caller.stage = 'in_rpc';
        break;
      case 'rpc_back':
        caller.stage = 'in_secure';
        break;
      case 'smc_return':
        this.secureFree++;
        caller.stage = 'returned';
        break;
      case 'wait_final':
        if (this.config.fine === true && queue.beginLeave !== undefined) {
          if (queue.beginLeave(waiter)) {
            caller.stage = 'leaving';
            this.lockedBy = caller;
            break;
          }
        } else {
          queue.leave(waiter);
        }
        this.endCall(caller);
        break;
      case 'wait_final_second':
        queue.endLeave?.(waiter);
        this.lockedBy = undefined;
        this.endCall(caller);
        break;
      case 'release':
        queue.release();
        caller.endOperation();
        break;
    }
  }

  /** Tell the queue of secure world's ETHREAD_LIMIT. */
  private refuse(caller: Caller): void {
    const { queue, outcome, countersBefore, countersAfter } = this;
    const { waiter } = caller;
    queue.saveCounters(countersBefore);
    const behind = queue.exits - waiter.exitsSeen;
    const step = queue.threadLimit(waiter);
    outcome.paused = step === 'pause';
    outcome.spins = false;
    if (step === 'call' && queue.exits - waiter.exitsSeen === behind) {
      queue.saveCounters(countersAfter);
      outcome.spins = countersBefore.every((counter, i) => counter === countersAfter[i]);
    }
    this.follow(caller, step);
  }

  private begin(caller: Caller): void {
    const { operation } = caller;
    if (operation.op === 'system_session') throw new Error('system_session is no call');
    const { session } = operation;
    if (session >= 0 && this.sessionIsClosed[session]) {
      this.outcome.rc = EINVAL;
      caller.system = false;
      caller.endOperation();
      return;
    }
    this.outcome.rc = 0;
    caller.system = this.isSystemCall(operation);
    caller.rpcLeft = operation.rpc;
    caller.stage = 'begun';
    if (operation.op === 'close' && session >= 0) this.sessionIsClosed[session] = true;
  }

  /** Whether a call of this operation that begins now is a system call. */
  isSystemCall(operation: Operation): boolean {
    if (operation.op === 'system_session') return false;
    const { session } = operation;
    return session >= 0 && this.sessionIsSystem[session] === true && this.isOfSession(operation);
  }

  /** Linux registers memory by a call without a session, whatever the memory is for. */
  private isOfSession({ own }: Extract<Operation, { readonly op: 'call' | 'close' }>): boolean {
    return own !== 'register' || this.queue.sortsOwnCalls;
  }

  private endCall(caller: Caller): void {
    if (caller.operation.op === 'close' && caller.system) caller.stage = 'releasing';
    else caller.endOperation();
  }

  private makeSystemSession(session: number): number {
    this.outcome.asked = false;
    if (session < 0 || this.sessionIsClosed[session]) return EINVAL;
    if (this.sessionIsSystem[session]) return this.config.discipline === 'patch-v6' ? EINVAL : 0;
    this.outcome.asked = true;
    if (!this.queue.reserve()) return EINVAL;
    this.sessionIsSystem[session] = true;
    return 0;
  }

  private follow(caller: Caller, step: QueueStep): void {
    // The model has no time: after a pause, the caller may repeat its SMC at any later step.
    caller.stage = step === 'call' || step === 'pause' ? 'ready' : 'waiting';
  }

  private mayReturn(operation: Operation): boolean {
    if (operation.op === 'system_session' || operation.forever) return false;
    return operation.needs < 0 || this.callers[operation.needs]?.stage === 'done';
  }
}
