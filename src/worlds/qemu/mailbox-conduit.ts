import { BoundedSpin } from '../../clock/bounded-spin.js';
import { startTimer } from '../../clock/timer.js';
import type { Conduit, ConduitError, SmcRegisters } from '../../protocol/conduit.js';
import { smcName } from '../../protocol/optee-smc.js';
import { describeFatalException } from './fatal-exception.js';
import type { Mailbox } from './mailbox.js';

export interface MailboxConduitOptions {
  readonly cpus: number;
  /** Microseconds to spin for a call's result before sleeping; spinning blocks the event loop. 0: never. */
  readonly spinMicroseconds: number;
  /** Limit in milliseconds for an SMC of that function to stay in secure world; Infinity: no limit. */
  limitMs(functionId: number): number;
  /** The first CPU can take calls. Called at least once. */
  ready(): void;
  /** A call enters secure world. */
  entered(): void;
  /** A call has returned. Called before its results are delivered. */
  returned(): void;
  /** Wake a CPU. */
  ring(cpu: number): void;
  /** Secure world has failed and cannot continue. */
  failed(reason: string): void;
  /** OP-TEE's asynchronous notification interrupt occurred. */
  interrupt(): void;
}

interface Call {
  readonly cpu: number;
  readonly number: number;
  readonly resolve: (registers: SmcRegisters) => void;
  readonly reject: (error: ConduitError) => void;
  /** Cancels the timer of its limit. */
  readonly unlimit: () => void;
}

interface Waiter {
  readonly registers: SmcRegisters;
  readonly resolve: (registers: SmcRegisters) => void;
  readonly reject: (error: ConduitError) => void;
}

/** Milliseconds for which a call may keep a CPU that another call waits for: a tick of a kernel with HZ=250. */
const sliceMs = 4;
/** After this many consecutive calls that took longer than their spin, only every n-th call is spun for. */
const vainSpins = 16;

/**
 * The conduit through the mailbox. Each SMC takes an idle CPU. There are at most as many SMCs in secure world as CPUs;
 * further ones wait in order of arrival.
 *
 * A result is awaited in two stages. The conduit spins for a single call for a bounded time, because a sleep and a
 * wake-up cost more than a short call. It does not spin if many calls before took long. In all other cases it sleeps,
 * and the firmware writes to the bell (`onBell`) when a call is done.
 */
export class MailboxConduit implements Conduit {
  /** CPUs that are present and have no call, one bit each. */
  private idle = 0;
  private present = 0;
  private readonly calls = new Map<number, Call>();
  private readonly waiting: Waiter[] = [];
  private readonly lastCall: number[] = [];
  private notifications = 0;
  /** Consecutive single calls that took longer than their spin. */
  private outlasted = 0;
  private readonly spin: BoundedSpin;
  /** Cancels the next preemption. */
  private slice: (() => void) | undefined;
  private failure: ConduitError | undefined;

  constructor(
    private readonly mailbox: Mailbox,
    private readonly options: MailboxConduitOptions,
  ) {
    this.spin = new BoundedSpin(options.spinMicroseconds / 1000);
    // The host sleeps until the first byte on the bell.
    mailbox.hostSleeps = true;
  }

  /** Whether a call is in secure world. */
  get busy(): boolean {
    return this.calls.size > 0;
  }

  smc(registers: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    return this.enter(registers, true);
  }

  async start(registers: SmcRegisters): Promise<SmcRegisters> {
    return this.enter(registers, false);
  }

  private enter(registers: SmcRegisters, maySpin: boolean): SmcRegisters | Promise<SmcRegisters> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.idle === 0)
      return new Promise((resolve, reject) => {
        this.waiting.push({ registers, resolve, reject });
        this.preempt();
      });
    const cpu = this.takeCpu();
    const number = this.post(cpu, registers);
    const results = maySpin ? this.spinFor(cpu, number) : undefined;
    if (results !== undefined) return this.spin.mustTurn ? this.afterTurn(results) : results;
    return new Promise((resolve, reject) => this.sleepFor(cpu, number, registers, resolve, reject));
  }

  waitsForProcessor(registers: SmcRegisters): boolean {
    return this.waiting.some((waiter) => waiter.registers === registers);
  }

  /** A byte arrived from UART0: the mailbox has changed. */
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

  /** Fail the conduit: all calls inside, all waiting ones and all later ones end with the error. */
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
   * A call waits for a CPU: interrupt the call inside, so that OP-TEE returns FOREIGN_INTR, and queue that call behind
   * the waiting ones. While calls wait, they run in turn for one slice each, as under a kernel's scheduler.
   */
  private preempt(): void {
    this.slice ??= startTimer(sliceMs, () => {
      this.slice = undefined;
      if (this.waiting.length === 0) return;
      // A byte on the bell interrupts the first CPU, whatever its value.
      if (this.calls.has(0)) this.options.ring(0);
      this.preempt();
    });
  }

  /** Add CPUs that have come up to the idle ones. The first CPU must be among them, because it forwards the bell. */
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

  /** The first idle CPU. Used most often, it is rarely asleep, and the bell reaches it without forwarding. */
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

  /** The results of a single call, if it ends while it is spun for. */
  private spinFor(cpu: number, number: number): SmcRegisters | undefined {
    if (this.calls.size > 0 || this.options.spinMicroseconds === 0) return undefined;
    const inVain = this.outlasted >= vainSpins && this.outlasted % vainSpins !== 0;
    if (inVain || !this.spin.until(() => this.mailbox.isDone(cpu, number))) {
      this.outlasted++;
      return undefined;
    }
    this.outlasted = 0;
    this.idle |= 1 << cpu;
    this.options.returned();
    return this.mailbox.results(cpu);
  }

  /**
   * Deliver the results after a turn of the event loop. Otherwise a sequence of calls that all end within a spin would
   * block the event loop.
   */
  private afterTurn(results: SmcRegisters): Promise<SmcRegisters> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.spin.turned();
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
    this.spin.turned();
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
    // The call was done between the last poll and `hostSleeps`: no byte will come. Collected in a microtask, because
    // the caller must get its promise first.
    if (this.mailbox.isDone(cpu, number)) queueMicrotask(() => this.collect());
  }

  /** Deliver the available results, and give their CPUs to waiting calls. */
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
      const results = this.spin.mustTurn ? undefined : this.spinFor(cpu, number);
      if (results !== undefined) resolve(results);
      else this.sleepFor(cpu, number, registers, resolve, reject);
    }
  }
}
