import { Worker } from 'node:worker_threads';
import type { CallPace } from './call-pace.js';
import { CallSlot, SlotNumber, type SlotOperation, SlotWord, slotAsked, slotSize } from './call-slot.js';
import type { Outcome } from './system-calls.js';

/** A system call that may block. */
export interface BlockingCall {
  readonly operation: SlotOperation;
  readonly fd: number;
  /** The ioctl's request number, or an address. */
  readonly request?: number;
  /** Length in bytes, for operations without an argument. */
  readonly size?: number;
  /** At most `maxArgSize` bytes. Outputs are written back to it. */
  readonly arg?: Uint8Array;
  /** Called when a thread takes the call. */
  readonly taken?: ((thread: CallingThread) => void) | undefined;
}

/** A thread that makes a call. */
export interface CallingThread {
  /** The kernel's id; 0 until the thread has started. */
  readonly threadId: number;
}

/** A call with the functions that settle its promise. */
export interface Awaiting {
  readonly call: BlockingCall;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

/** `Atomics.waitAsync`: Node has it since version 16, but TypeScript's library for our target does not. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly async: boolean; readonly value: Promise<unknown> | string };
};

/** Node's default heap limit is several hundred megabytes per thread, far more than these threads need. */
const resourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 };

const now = Promise.resolve();
// Read once: in Node the global is a getter.
const { performance } = globalThis;

/** The set of threads that a thread belongs to. */
export interface ThreadOwner {
  readonly pace: CallPace;
  /** Whether there is only one call: busy-waiting for it would delay the answers of others. */
  readonly isAlone: boolean;
  /** The thread's call has returned, or the thread has ended during it. */
  back(thread: ThreadHandle): void;
  ended(thread: ThreadHandle): void;
}

/** The caller's side of a thread for blocking calls. */
export class ThreadHandle implements CallingThread {
  alive = true;
  private readonly slot = new CallSlot(new SharedArrayBuffer(slotSize));
  private readonly worker: Worker;
  private awaiting: Awaiting | undefined;
  /** Number of answers before this call. */
  private before = 0;
  /** False until the thread has started, which takes some time. */
  private runs = false;
  private failure: Error | undefined;
  private ending = false;

  constructor(private readonly owner: ThreadOwner) {
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
      owner.ended(this);
      // Wake the caller that waits for an answer.
      Atomics.add(this.slot.words, SlotWord.answered, 1);
      Atomics.notify(this.slot.words, SlotWord.answered);
    });
    this.worker.unref();
  }

  get threadId(): number {
    return this.slot.words[SlotWord.threadId] ?? 0;
  }

  /** It has a call whose result has not been delivered. */
  get busy(): boolean {
    return this.awaiting !== undefined;
  }

  /** Its call has not returned. */
  get inside(): boolean {
    return this.busy && !this.isDone();
  }

  /** Start a call; there must be none. The wait for the result begins in a microtask. */
  make(awaiting: Awaiting): void {
    const { operation, fd, request = 0, size, arg, taken } = awaiting.call;
    taken?.(this);
    const { words, numbers } = this.slot;
    words[SlotWord.operation] = operation;
    words[SlotWord.descriptor] = fd;
    numbers[SlotNumber.request] = request;
    numbers[SlotNumber.size] = size ?? arg?.length ?? 0;
    if (arg !== undefined) this.slot.arg.set(arg);
    this.awaiting = awaiting;
    this.before = words[SlotWord.answered] ?? 0;
    const sleeps = Atomics.load(words, SlotWord.threadSleeps) === 1;
    words[SlotWord.followMicroseconds] = this.owner.isAlone ? this.owner.pace.asked(sleeps) : 0;
    Atomics.store(words, SlotWord.asked, slotAsked);
    if (Atomics.load(words, SlotWord.threadSleeps) === 1) Atomics.notify(words, SlotWord.asked);
    // Cheaper than queueMicrotask, which Node wraps.
    void now.then(this.wait);
  }

  end(): void {
    void this.worker.terminate();
  }

  /** End after the current call. Neither a caller nor the process waits for it. */
  endWhenBack(): void {
    this.ending = true;
    this.worker.unref();
  }

  private readonly isDone = () => Atomics.load(this.slot.words, SlotWord.answered) !== this.before;

  private readonly wait = () => {
    const { pace, isAlone } = this.owner;
    if (!(this.runs && isAlone && pace.spinFor(this.isDone))) this.sleep();
    // Consecutive calls that all return within the busy-wait would block the event loop.
    else if (pace.spin.mustTurn) this.turn();
    else this.answer();
  };

  private turn(): void {
    const began = performance.now();
    setImmediate(() => {
      this.owner.pace.spin.turned(performance.now() - began);
      this.answer();
    });
  }

  /** The thread checks whether the caller sleeps after it has written the answer, so one of the two sees the other's write. */
  private sleep(): void {
    const { words } = this.slot;
    Atomics.store(words, SlotWord.askerSleeps, 1);
    const { value } = waitAsync(words, SlotWord.answered, this.before);
    if (typeof value === 'string') {
      Atomics.store(words, SlotWord.askerSleeps, 0);
      this.turn();
      return;
    }
    // The process stays for as long as the call takes, unless it is to end in it.
    if (!this.ending) this.worker.ref();
    void value.then(this.awake);
  }

  private readonly awake = () => {
    Atomics.store(this.slot.words, SlotWord.askerSleeps, 0);
    this.owner.pace.spin.turned();
    if (this.alive) this.worker.unref();
    this.answer();
  };

  private answer(): void {
    const { awaiting, slot } = this;
    if (awaiting === undefined) return;
    const { arg } = awaiting.call;
    // Not by a view, which would have to be made for each call.
    if (arg !== undefined) for (let index = 0; index < arg.length; index++) arg[index] = slot.arg[index] ?? 0;
    this.owner.pace.answered(slot.numbers[SlotNumber.took] ?? 0);
    const outcome = { result: slot.numbers[SlotNumber.result] ?? -1, errno: slot.words[SlotWord.errno] ?? 0 };
    this.awaiting = undefined;
    this.runs = true;
    if (this.ending) this.end();
    // It may get its next call at once.
    this.owner.back(this);
    if (this.failure !== undefined && !this.alive) awaiting.reject(this.failure);
    else awaiting.resolve(outcome);
  }
}
