import { startTimer } from '../../clock/timer.js';
import type { Conduit, ConduitError, SmcRegisters } from '../../protocol/conduit.js';
import { smcName } from '../../protocol/optee-smc.js';
import { describeFatalException } from './fatal-exception.js';
import type { Mailbox } from './mailbox.js';

export interface MailboxConduitOptions {
  readonly cpus: number;
  /** How long to spin for a call's result before sleeping, in microseconds; it blocks the event loop. 0: never. */
  readonly spinMicroseconds: number;
  /** How long an SMC of that function may stay in secure world, in milliseconds; Infinity: for ever. */
  limitMs(functionId: number): number;
  /** The first CPU takes calls: told at least once. */
  ready(): void;
  /** A call goes into secure world. */
  entered(): void;
  /** A call is back: told before its results are handed out. */
  returned(): void;
  /** Wake that CPU. */
  ring(cpu: number): void;
  /** Secure world cannot go on. */
  failed(reason: string): void;
  /** OP-TEE's asynchronous notification interrupt came. */
  interrupt(): void;
}

interface Call {
  readonly cpu: number;
  readonly number: number;
  readonly resolve: (registers: SmcRegisters) => void;
  readonly reject: (error: ConduitError) => void;
  /** Cancels its limit in time. */
  readonly unlimit: () => void;
}

interface Waiter {
  readonly registers: SmcRegisters;
  readonly resolve: (registers: SmcRegisters) => void;
  readonly reject: (error: ConduitError) => void;
}

/** Polls between two looks at the clock. */
const pollsPerLook = 64;
/** How long a call may keep a CPU that another waits for, in milliseconds: a tick of a kernel with HZ=250. */
const sliceMs = 4;
/** After so many calls in a row that outlasted their spin, only every so many-th is still spun for. */
const vainSpins = 16;

/**
 * The conduit through the mailbox: each SMC takes an idle CPU, as many are inside as there are CPUs, further ones wait
 * in order.
 *
 * A result is awaited in two stages. A single call is spun for, a bounded time, because a sleep and a wake-up cost more
 * than a short call; not when many before it were not short. Everything else sleeps: the firmware rings the bell
 * (`onBell`) when a call is done.
 */
export class MailboxConduit implements Conduit {
  /** CPUs that are there and have no call, a bit each. */
  private idle = 0;
  private present = 0;
  private readonly calls = new Map<number, Call>();
  private readonly waiting: Waiter[] = [];
  private readonly lastCall: number[] = [];
  private notifications = 0;
  /** Single calls in a row that were not done within a spin. */
  private outlasted = 0;
  /** How long was spun since the event loop last turned for sure, in milliseconds. */
  private spun = 0;
  /** Cancels the next interruption. */
  private slice: (() => void) | undefined;
  private failure: ConduitError | undefined;

  constructor(
    private readonly mailbox: Mailbox,
    private readonly options: MailboxConduitOptions,
  ) {
    // Until the first bell the host sleeps.
    mailbox.hostSleeps = true;
  }

  /** A call is in secure world. */
  get busy(): boolean {
    return this.calls.size > 0;
  }

  smc(registers: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.idle === 0)
      return new Promise((resolve, reject) => {
        this.waiting.push({ registers, resolve, reject });
        this.preempt();
      });
    const cpu = this.takeCpu();
    const number = this.post(cpu, registers);
    const results = this.spinFor(cpu, number);
    if (results !== undefined) return this.mustTurn ? this.afterTurn(results) : results;
    return new Promise((resolve, reject) => this.sleepFor(cpu, number, registers, resolve, reject));
  }

  /** A byte came out of UART0: something in the mailbox changed. */
  onBell(): void {
    for (let cpu = 0; cpu < this.options.cpus; cpu++) {
      const fatal = this.mailbox.fatalException(cpu);
      if (fatal !== undefined) {
        this.options.failed(describeFatalException(fatal));
        return;
      }
    }
    this.admitCpus();
    const { notifications } = this.mailbox;
    if (notifications !== this.notifications) {
      this.notifications = notifications;
      this.options.interrupt();
    }
    this.collect();
  }

  /** No call gets through any more: those inside and those waiting end with the error, and so does every later one. */
  fail(error: ConduitError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    const ended = [...this.calls.values(), ...this.waiting.splice(0)];
    for (const { unlimit } of this.calls.values()) unlimit();
    this.slice?.();
    this.calls.clear();
    for (const { reject } of ended) reject(error);
  }

  /**
   * A call waits for a CPU: interrupt the one inside, so that OP-TEE gives way (FOREIGN_INTR) and its call goes behind
   * those that wait. As long as some wait, each runs for a while in turn, as under a kernel's scheduler.
   */
  private preempt(): void {
    this.slice ??= startTimer(sliceMs, () => {
      this.slice = undefined;
      if (this.waiting.length === 0) return;
      // The bell interrupts the first CPU, whichever it is for.
      if (this.calls.has(0)) this.options.ring(0);
      this.preempt();
    });
  }

  /** CPUs that have come up take calls, but none before the first, which has to pass on the bell. */
  private admitCpus(): void {
    if (!this.mailbox.isPresent(0)) return;
    for (let cpu = 0; cpu < this.options.cpus; cpu++) {
      const bit = 1 << cpu;
      if ((this.present & bit) !== 0 || !this.mailbox.isPresent(cpu)) continue;
      this.present |= bit;
      this.idle |= bit;
    }
    this.options.ready();
  }

  /** The first idle CPU: used most it is rarely asleep, and the bell reaches it without a detour over another. */
  private takeCpu(): number {
    const cpu = 31 - Math.clz32(this.idle & -this.idle);
    this.idle &= ~(1 << cpu);
    return cpu;
  }

  private post(cpu: number, registers: SmcRegisters): number {
    const number = ((this.lastCall[cpu] ?? 0) + 1) | 0 || 1;
    this.lastCall[cpu] = number;
    this.mailbox.post(cpu, number, registers);
    this.options.entered();
    if (this.mailbox.isSleeping(cpu)) this.options.ring(cpu);
    return number;
  }

  /** The results of a call that is the only one inside, when they come while it is spun for. */
  private spinFor(cpu: number, number: number): SmcRegisters | undefined {
    if (this.calls.size > 0 || this.options.spinMicroseconds === 0) return undefined;
    const inVain = this.outlasted >= vainSpins && this.outlasted % vainSpins !== 0;
    if (inVain || !this.spin(cpu, number)) {
      this.outlasted++;
      return undefined;
    }
    this.outlasted = 0;
    this.idle |= 1 << cpu;
    this.options.returned();
    return this.mailbox.results(cpu);
  }

  /** Whether the call was done in time. */
  private spin(cpu: number, number: number): boolean {
    const started = performance.now();
    const end = started + this.options.spinMicroseconds / 1000;
    let isDone = false;
    let now: number;
    do {
      for (let poll = 0; poll < pollsPerLook && !isDone; poll++) isDone = this.mailbox.isDone(cpu, number);
      now = performance.now();
    } while (!isDone && now < end);
    this.spun += now - started;
    return isDone;
  }

  /** Whether as much was spun as the event loop may be kept from turning for. */
  private get mustTurn(): boolean {
    return this.spun * 1000 >= this.options.spinMicroseconds;
  }

  /** Calls that are all done within a spin would keep the event loop from turning for as long as they follow each other. */
  private afterTurn(results: SmcRegisters): Promise<SmcRegisters> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.spun = 0;
        resolve(results);
      });
    });
  }

  private sleepFor(
    cpu: number,
    number: number,
    registers: SmcRegisters,
    resolve: (registers: SmcRegisters) => void,
    reject: (error: ConduitError) => void,
  ): void {
    this.spun = 0;
    const limitMs = this.options.limitMs(registers.a0);
    const unlimit = startTimer(limitMs, () => {
      this.options.failed(
        `SMC ${smcName(registers.a0)} on CPU ${cpu} did not return from secure world within ${limitMs} ms`,
      );
    });
    const wasIdle = this.calls.size === 0;
    this.calls.set(cpu, { cpu, number, resolve, reject, unlimit });
    if (!wasIdle) return;
    this.mailbox.hostSleeps = true;
    // Done between the last look and the word that the host sleeps: no bell comes. Later than this turn of the event
    // loop, as the caller must get its promise first.
    if (this.mailbox.isDone(cpu, number)) queueMicrotask(() => this.collect());
  }

  /** Hand out the results that are there, and the CPUs with them to those that wait. */
  private collect(): void {
    for (const call of this.calls.values()) {
      if (!this.mailbox.isDone(call.cpu, call.number)) continue;
      this.calls.delete(call.cpu);
      call.unlimit();
      this.options.returned();
      call.resolve(this.mailbox.results(call.cpu));
      this.idle |= 1 << call.cpu;
    }
    if (this.calls.size === 0) this.mailbox.hostSleeps = false;
    while (this.idle !== 0) {
      const waiter = this.waiting.shift();
      if (waiter === undefined) break;
      const { registers, resolve, reject } = waiter;
      const cpu = this.takeCpu();
      const number = this.post(cpu, registers);
      const results = this.mustTurn ? undefined : this.spinFor(cpu, number);
      if (results !== undefined) resolve(results);
      else this.sleepFor(cpu, number, registers, resolve, reject);
    }
  }
}
