import { isMainThread } from 'node:worker_threads';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import { CallPace, usualSpinMicroseconds } from './call-pace.js';
import { exitNow, type Outcome } from './system-calls.js';
import { type Awaiting, type BlockingCall, ThreadHandle, type ThreadOwner } from './thread-handle.js';

/** A call that waits for a thread or is being made. */
export interface StartedCall {
  /** Resolves with undefined if the call was withdrawn. */
  readonly outcome: Promise<Outcome | undefined>;
  /** Withdraw the call. @returns false if a thread has already taken it. */
  withdraw(): boolean;
}

/**
 * Threads for blocking calls, created on demand up to `limit`. Further calls wait in order. Node's own thread pool is
 * not used, because file and DNS operations share it. Urgent calls (cancellations) have an additional thread, because
 * they make other calls return.
 *
 * The result of a single call is first busy-waited for during a limited time, and so is a thread's next call, because
 * two wake-ups cost more than a short call. In all other cases both sides sleep.
 */
export class CallThreads implements ThreadOwner {
  readonly pace: CallPace;
  private readonly idle: ThreadHandle[] = [];
  private readonly all = new Set<ThreadHandle>();
  private readonly waiting: PendingCall[] = [];
  private readonly urgent: PendingCall[] = [];
  private urgentThread: ThreadHandle | undefined;
  private inside = 0;
  private isEnded = false;

  /**
   * @param limit largest number of threads, from 1, without the urgent one.
   * @param spinMicroseconds longest busy-wait for a result; 0: neither side busy-waits.
   */
  constructor(
    private readonly limit: number,
    spinMicroseconds = usualSpinMicroseconds,
  ) {
    this.pace = new CallPace(spinMicroseconds);
    if (!isMainThread) return;
    process.once('exit', this.leave);
    process.on('uncaughtExceptionMonitor', this.remember);
  }

  /** The error that ends the process; it has not been printed yet when `leave` is called. */
  private fatal: unknown;
  private readonly remember = (error: unknown) => {
    this.fatal = error;
  };

  /**
   * At exit, Node waits for its threads, but a call into a secure world that hangs never returns. In that case, end the
   * process directly, with its exit code.
   */
  private readonly leave = (code: number) => {
    if (![...this.all].some(({ inside }) => inside)) return;
    if (this.fatal !== undefined) console.error(this.fatal);
    exitNow(Number(process.exitCode ?? code));
  };

  /** @throws TeecError BAD_STATE after `end`. */
  run(call: BlockingCall): Promise<Outcome> {
    return this.start(call).outcome as Promise<Outcome>;
  }

  /** The same, for a call that can be withdrawn while it waits for a thread. */
  start(call: BlockingCall): StartedCall {
    const pending = new PendingCall(call, this.waiting);
    this.assign();
    return pending;
  }

  /** The same on the urgent thread, even if all others are busy. */
  runUrgent(call: BlockingCall): Promise<Outcome> {
    const pending = new PendingCall(call, this.urgent);
    this.assign();
    return pending.outcome as Promise<Outcome>;
  }

  get isAlone(): boolean {
    return this.inside === 1 && this.waiting.length === 0;
  }

  back(thread: ThreadHandle): void {
    this.inside--;
    if (this.isEnded) return;
    if (thread.alive && thread !== this.urgentThread) this.idle.push(thread);
    if (this.waiting.length > 0 || this.urgent.length > 0) this.assign();
  }

  ended(thread: ThreadHandle): void {
    this.all.delete(thread);
    const index = this.idle.indexOf(thread);
    if (index >= 0) this.idle.splice(index, 1);
    if (this.urgentThread === thread) this.urgentThread = undefined;
  }

  /**
   * Accept no more calls. Idle threads end now, busy ones when their call returns. The process does not wait for them.
   */
  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.refuse();
    const busy = [...this.all].filter((thread) => thread.busy);
    for (const thread of this.all) if (!thread.busy) thread.end();
    for (const thread of busy) thread.endWhenBack();
    if (busy.length > 0) return;
    process.off('exit', this.leave);
    process.off('uncaughtExceptionMonitor', this.remember);
  }

  private assign(): void {
    if (this.isEnded) this.refuse();
    while (this.waiting.length > 0) {
      const thread = this.idle.pop() ?? (this.callers < this.limit ? this.newThread() : undefined);
      if (thread === undefined) break;
      this.give(thread, this.waiting);
    }
    if (this.urgent.length === 0) return;
    this.urgentThread ??= this.newThread();
    if (!this.urgentThread.busy) this.give(this.urgentThread, this.urgent);
  }

  private give(thread: ThreadHandle, calls: PendingCall[]): void {
    const next = calls.shift();
    if (next === undefined) return;
    this.inside++;
    thread.make(next);
  }

  private refuse(): void {
    const closed = commsError(TeeResult.ERROR_BAD_STATE, 'the TEE is closed');
    for (const call of [...this.waiting.splice(0), ...this.urgent.splice(0)]) call.reject(closed);
  }

  /** Number of threads for calls that are not urgent. */
  private get callers(): number {
    return this.all.size - (this.urgentThread === undefined ? 0 : 1);
  }

  private newThread(): ThreadHandle {
    const thread = new ThreadHandle(this);
    this.all.add(thread);
    return thread;
  }
}

class PendingCall implements StartedCall, Awaiting {
  readonly outcome: Promise<Outcome | undefined>;
  resolve: (outcome: Outcome | undefined) => void = nothing;
  reject: (error: unknown) => void = nothing;

  /** @param waiting the queue of calls that wait for a thread. */
  constructor(
    readonly call: BlockingCall,
    private readonly waiting: PendingCall[],
  ) {
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    waiting.push(this);
  }

  withdraw(): boolean {
    const index = this.waiting.indexOf(this);
    if (index < 0) return false;
    this.waiting.splice(index, 1);
    this.resolve(undefined);
    return true;
  }
}

function nothing(): void {}
