import { isMainThread, Worker } from 'node:worker_threads';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import { CallSlot, type SlotOperation, SlotWide, SlotWord, slotAsked, slotSize } from './call-slot.js';
import { exitNow, type Outcome } from './system-calls.js';

/** A system call that may block. */
export interface BlockingCall {
  readonly operation: SlotOperation;
  readonly fd: number;
  /** The ioctl's request number, or an address. */
  readonly request?: number;
  /** Bytes, for what has no argument. */
  readonly size?: number;
  /** At most `maxArgSize` bytes; what came back in it stands there afterwards. */
  readonly arg?: Uint8Array;
}

/** A call that waits for a thread, or is inside one. */
export interface StartedCall {
  /** Undefined when it was withdrawn. */
  readonly outcome: Promise<Outcome | undefined>;
  /** It is not made, unless a thread has taken it: then false. */
  withdraw(): boolean;
}

interface Waiting {
  readonly call: BlockingCall;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** `Atomics.waitAsync`, which Node has since 16 and TypeScript's library of our target has not. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly async: boolean; readonly value: Promise<unknown> | string };
};

/** Node's own default is a few hundred megabytes for each; these do next to nothing. */
const resourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 };

/**
 * Threads of our own for calls that block, as many as there are such calls at a time and no more than `limit`; what is too
 * much waits for its turn, in order. They are not those of Node's pool, which files and names share. Urgent calls
 * (cancellations) have a thread of their own beside them: they are there to let others come back.
 */
export class CallThreads {
  private readonly idle: CallThread[] = [];
  private readonly all = new Set<CallThread>();
  private readonly waiting: Waiting[] = [];
  private readonly urgent: Waiting[] = [];
  private urgentThread: CallThread | undefined;
  private urgentBusy = false;
  private ended = false;

  /** @param limit threads, from 1; the urgent one comes on top. */
  constructor(private readonly limit: number) {
    if (!isMainThread) return;
    process.once('exit', this.leave);
    process.on('uncaughtExceptionMonitor', this.remember);
  }

  /** What ends the process; it has not been told of when `leave` is called. */
  private fatal: unknown;
  private readonly remember = (error: unknown) => {
    this.fatal = error;
  };

  /**
   * At its end Node waits for its threads, and a call into a secure world that hangs never ends. So the process then ends
   * by itself, with the code that it has.
   */
  private readonly leave = (code: number) => {
    if (![...this.all].some(({ busy }) => busy)) return;
    if (this.fatal !== undefined) console.error(this.fatal);
    exitNow(Number(process.exitCode ?? code));
  };

  /** @throws TeecError BAD_STATE after the end. */
  run(call: BlockingCall): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.requireOpen();
      this.waiting.push({ call, resolve, reject });
      this.assign();
    });
  }

  /** The same, for a call that may be withdrawn while it waits for a thread. */
  start(call: BlockingCall): StartedCall {
    let withdraw = () => false;
    const outcome = new Promise<Outcome | undefined>((resolve, reject) => {
      this.requireOpen();
      const waiting: Waiting = { call, resolve, reject };
      withdraw = () => {
        const index = this.waiting.indexOf(waiting);
        if (index < 0) return false;
        this.waiting.splice(index, 1);
        resolve(undefined);
        return true;
      };
      this.waiting.push(waiting);
      this.assign();
    });
    return { outcome, withdraw };
  }

  /** The same, whatever the others are in. */
  runUrgent(call: BlockingCall): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.requireOpen();
      this.urgent.push({ call, resolve, reject });
      void this.runUrgentOnes();
    });
  }

  /**
   * Nothing is asked for any more. Threads end; those that are inside a call when it is back, or with the process, which
   * does not wait for them.
   */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    for (const { reject } of [...this.waiting.splice(0), ...this.urgent.splice(0)]) reject(closed());
    const busy = [...this.all].filter((thread) => thread.busy);
    for (const thread of this.all) if (!thread.busy) thread.end();
    for (const thread of busy) thread.endWhenBack();
    if (busy.length > 0) return;
    process.off('exit', this.leave);
    process.off('uncaughtExceptionMonitor', this.remember);
  }

  private assign(): void {
    while (this.waiting.length > 0) {
      const thread = this.idle.pop() ?? (this.callers < this.limit ? this.newThread() : undefined);
      const next = thread === undefined ? undefined : this.waiting.shift();
      if (thread === undefined || next === undefined) return;
      thread
        .make(next.call)
        .then(next.resolve, next.reject)
        .finally(() => {
          if (thread.alive && !this.ended) this.idle.push(thread);
          this.assign();
        });
    }
  }

  private async runUrgentOnes(): Promise<void> {
    if (this.urgentBusy) return;
    this.urgentBusy = true;
    for (let next = this.urgent.shift(); next !== undefined; next = this.urgent.shift()) {
      if (this.urgentThread?.alive !== true) this.urgentThread = this.newThread();
      await this.urgentThread.make(next.call).then(next.resolve, next.reject);
    }
    this.urgentBusy = false;
  }

  private requireOpen(): void {
    if (this.ended) throw closed();
  }

  /** Threads for calls that are not urgent. */
  private get callers(): number {
    return this.all.size - (this.urgentThread?.alive === true ? 1 : 0);
  }

  private newThread(): CallThread {
    const thread = new CallThread(() => this.all.delete(thread));
    this.all.add(thread);
    return thread;
  }
}

const closed = () => commsError(TeeResult.ERROR_BAD_STATE, 'the TEE is closed');

class CallThread {
  busy = false;
  alive = true;
  private readonly slot = new CallSlot(new SharedArrayBuffer(slotSize));
  private readonly worker: Worker;
  private failure: Error | undefined;
  private ending = false;

  constructor(onExit: () => void) {
    this.worker = new Worker(new URL('./call-thread.js', import.meta.url), {
      workerData: this.slot.memory,
      execArgv: [],
      resourceLimits,
    });
    this.worker.on('error', (error) => {
      this.failure ??= error;
    });
    this.worker.on('exit', (code) => {
      this.alive = false;
      this.failure ??= new Error(`a thread for calls of a TEE ended with ${code}`);
      onExit();
      // Whoever waits for its answer.
      Atomics.add(this.slot.words, SlotWord.answered, 1);
      Atomics.notify(this.slot.words, SlotWord.answered);
    });
    this.worker.unref();
  }

  async make({ operation, fd, request = 0, size, arg }: BlockingCall): Promise<Outcome> {
    const { slot, worker } = this;
    const { words, wide } = slot;
    words[SlotWord.operation] = operation;
    words[SlotWord.descriptor] = fd;
    wide[SlotWide.request] = BigInt(request);
    wide[SlotWide.size] = BigInt(size ?? arg?.length ?? 0);
    if (arg !== undefined) slot.arg.set(arg);
    const answered = words[SlotWord.answered] ?? 0;
    this.busy = true;
    // The process stays for as long as the call takes.
    worker.ref();
    Atomics.store(words, SlotWord.asked, slotAsked);
    Atomics.notify(words, SlotWord.asked);
    const { value } = waitAsync(words, SlotWord.answered, answered);
    if (typeof value !== 'string') await value;
    this.busy = false;
    if (this.ending) this.end();
    if (this.failure !== undefined && !this.alive) throw this.failure;
    worker.unref();
    if (arg !== undefined) arg.set(slot.arg.subarray(0, arg.length));
    return { result: Number(wide[SlotWide.result]), errno: words[SlotWord.errno] ?? 0 };
  }

  end(): void {
    void this.worker.terminate();
  }

  /** Nobody waits for it; the process neither. */
  endWhenBack(): void {
    this.ending = true;
    this.worker.unref();
  }
}
