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
  /** Bytes, for what has no argument. */
  readonly size?: number;
  /** At most `maxArgSize` bytes; what came back in it stands there afterwards. */
  readonly arg?: Uint8Array;
}

/** Who waits for the outcome of a call. */
export interface Awaiting {
  readonly call: BlockingCall;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
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

const now = Promise.resolve();
// Read once: in Node the global is a getter.
const { performance } = globalThis;

/** What a thread needs of those that it is one of. */
export interface ThreadOwner {
  readonly pace: CallPace;
  /** Whether a single call is there: others would wait for their answers while it is spun for. */
  readonly isAlone: boolean;
  /** It is back from its call, or has ended in it. */
  back(thread: ThreadHandle): void;
  ended(thread: ThreadHandle): void;
}

/** One thread of calls, as who gives it calls sees it. */
export class ThreadHandle {
  alive = true;
  private readonly slot = new CallSlot(new SharedArrayBuffer(slotSize));
  private readonly worker: Worker;
  private awaiting: Awaiting | undefined;
  /** How often it had answered before this call. */
  private before = 0;
  /** It takes some time until it runs at all. */
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
      // Whoever waits for its answer.
      Atomics.add(this.slot.words, SlotWord.answered, 1);
      Atomics.notify(this.slot.words, SlotWord.answered);
    });
    this.worker.unref();
  }

  /** It has a call whose outcome has not been handed out. */
  get busy(): boolean {
    return this.awaiting !== undefined;
  }

  /** It has not come back from its call. */
  get inside(): boolean {
    return this.busy && !this.isDone();
  }

  /** Give it a call, when it has none. The caller waits for the outcome when it has done what it does now. */
  make(awaiting: Awaiting): void {
    const { operation, fd, request = 0, size, arg } = awaiting.call;
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

  /** Nobody waits for it; the process neither. */
  endWhenBack(): void {
    this.ending = true;
    this.worker.unref();
  }

  private readonly isDone = () => Atomics.load(this.slot.words, SlotWord.answered) !== this.before;

  private readonly wait = () => {
    const { pace, isAlone } = this.owner;
    if (!(this.runs && isAlone && pace.spinFor(this.isDone))) this.sleep();
    // Calls that are all done within a spin would keep the event loop from turning for as long as they follow each other.
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

  /** The thread looks whether somebody sleeps after it has answered: so one of the two sees what the other wrote. */
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
