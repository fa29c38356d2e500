import type { DisciplineName, QueueStep } from '../../../optee/call-queue/call-queue.js';
import { createCallQueue } from '../../../optee/call-queue/disciplines.js';
import { COUNTER_COUNT, type StorableCallQueue } from '../../../optee/call-queue/storable.js';
import { Caller, isRelief, type Operation, type Step } from './caller.js';

/** Linux's -EINVAL. */
export const EINVAL = -22;

/** The sessions that callers may share; any other call uses session -1. */
export const SESSION_COUNT = 3;

/** Callers around one call queue, above a secure world with so many threads. */
export interface ModelConfig {
  readonly discipline: DisciplineName;
  /** What secure world announced; 0: nothing. */
  readonly totalThreadCount: number;
  /** The thread contexts it really has. */
  readonly secureThreads: number;
  /** Sessions 0 to this less one are system sessions from the start, as far as the discipline grants it. */
  readonly initialSystemSessions: number;
  /** One thread is kept for relief calls, by a discipline that can. */
  readonly reserve?: boolean | undefined;
  readonly callers: readonly (readonly Operation[])[];
  /**
   * Others may consume their completions in the middle of a caller's `wait_final` (Linux only): the finest interleaving
   * that the kernel's lock allows.
   */
  readonly fine?: boolean;
  /** Which callers repeat their list for ever; the rest end. */
  readonly repeating?: readonly number[];
}

/** What a step gave, besides the new state; the fields that a step does not set keep their last value. */
export interface StepOutcome {
  /** `system_session`, `begin`: 0 or -EINVAL. */
  rc: number;
  /** `wait_init`, `thread_limit`: the caller must wait. */
  needWait: boolean;
  /** `requeue`: a completion was thrown away. */
  discarded: boolean;
  /** `recheck`: the caller claimed a thread. */
  claimed: boolean;
  /** `smc`: secure world had a thread. */
  entered: boolean;
  /** `system_session`: the queue was asked for a reservation. */
  asked: boolean;
  /** ETHREAD_LIMIT was told to the queue: the caller shall make its SMC again after a pause. */
  paused: boolean;
  /** Likewise: at once, and the queue and the caller stand as before, so that it can go on like this for ever. */
  spins: boolean;
}

/**
 * The system under exploration: callers as small state machines around the call queue that the driver uses, and a
 * secure world reduced to its number of free thread contexts. Each caller has at most one next step, so a schedule is
 * a list of callers.
 */
export class QueueModel {
  readonly queue: StorableCallQueue;
  readonly callers: readonly Caller[];
  readonly sessionIsSystem: boolean[];
  readonly sessionIsClosed: boolean[];
  /** Some caller makes relief calls, or a thread is kept for them. */
  readonly relieves: boolean;
  secureFree: number;
  /** Who holds the queue's lock across steps (fine steps only). */
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

  /** @param queue the queue to drive, when it is not the discipline's own. */
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

  /** The step that this caller can take now; undefined when it sleeps, waits for another caller, or is done. */
  next(caller: Caller): Step | undefined {
    const step = this.nextUnlocked(caller);
    if (this.lockedBy === undefined || this.lockedBy === caller) return step;
    // The lock is held by another: what is left is what needs none.
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

  /** Takes the caller's next step; what it gave is in `outcome`. */
  step(caller: Caller): Step {
    const step = this.next(caller);
    if (step === undefined) throw new Error(`caller ${caller.label} cannot step: ${caller.stage}`);
    this.take(caller, step);
    return step;
  }

  /** Takes a step that is the caller's next. */
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

  /** Secure world's ETHREAD_LIMIT is told to the queue. */
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
    caller.system = session >= 0 && this.sessionIsSystem[session] === true && this.isOfSession(operation);
    caller.rpcLeft = operation.rpc;
    caller.stage = 'begun';
    if (operation.op === 'close' && session >= 0) this.sessionIsClosed[session] = true;
  }

  /** Linux registers memory by a call of no session, whoever it is for. */
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
    // A pause passes no time here: the caller may make its SMC again at any later step.
    caller.stage = step === 'call' || step === 'pause' ? 'ready' : 'waiting';
  }

  private mayReturn(operation: Operation): boolean {
    if (operation.op === 'system_session' || operation.forever) return false;
    return operation.needs < 0 || this.callers[operation.needs]?.stage === 'done';
  }
}
