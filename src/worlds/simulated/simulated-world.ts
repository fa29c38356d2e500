import type { Clock } from '../../clock/clock.js';
import { machineClock } from '../../clock/clock.js';
import type { Random } from '../../clock/random.js';
import { seededRandom } from '../../clock/random.js';
import type { Schedule } from '../../clock/schedule.js';
import { immediateSchedule } from '../../clock/schedule.js';
import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import type { Conduit, SmcRegisters } from '../../protocol/conduit.js';
import { ConduitError, smcRegisters } from '../../protocol/conduit.js';
import { isFastCall, OpteeSmc, OpteeSmcReturn } from '../../protocol/optee-smc.js';
import type { MemoryRange } from '../../protocol/physical-memory.js';
import { pageSize } from '../../protocol/physical-memory.js';
import type {
  InterruptSource,
  PanicSource,
  PhysicalMemoryFile,
  SecureWorld,
  TaPanicReport,
} from '../../protocol/secure-world.js';
import { show } from '../../show.js';
import { unbreakable } from '../../warn.js';
import { deviceEnumerationPta } from './applications/device-enumeration.js';
import type { SecureWorldEvent } from './core/core.js';
import { Core } from './core/core.js';
import { type Faults, faultNames } from './core/faults.js';
import type { NotificationDriver } from './core/notif.js';
import { entryFast } from './entry/entry-fast.js';
import { stdSmcEntry } from './entry/thread-optee-smc.js';
import { Spmc } from './ffa/spmc.js';
import { NonSecureMemory } from './memory/non-secure-memory.js';
import { CorePanic } from './ta/ta-entry.js';
import { TaManager } from './ta/ta-manager.js';
import type { TrustedApplication } from './ta/trusted-application.js';
import { start } from './threads/routine.js';
import type { Thread, ThreadState } from './threads/thread.js';

/** A limit for `threads`: every thread context is created with the world. */
const mostThreads = 1024;

/** Options of a simulated secure world. Defaults follow OP-TEE 4.5 for QEMU's Arm board. */
export interface SimulatedWorldOptions {
  /**
   * The ABI of OP-TEE. Default: raw SMCs. With `ffa` it is a partition under a secure partition manager, has no
   * reserved memory, and has the capabilities of FF-A.
   */
  readonly abi?: 'smc' | 'ffa';
  /** CFG_NUM_THREADS, 1..1024. Default: 2. */
  readonly threads?: number;
  /** The answer of GET_THREAD_COUNT. Default: `threads`. `false`: the function is unknown. */
  readonly announcedThreads?: number | false;
  /** Page-aligned. Default: 64 MiB at 0x40000000. */
  readonly dram?: MemoryRange;
  /** A part of DRAM. Default: 2 MiB at 0x42000000. `false`: none. */
  readonly reservedShm?: MemoryRange | false;
  /**
   * Creates the file that holds DRAM, of `size` bytes, so that other processes can map it. The world disposes of it.
   */
  readonly dramFile?: (size: number) => DramFile;
  /** Capabilities. Default of each: true. */
  readonly dynamicShm?: boolean;
  readonly memrefNull?: boolean;
  readonly rpcArg?: boolean;
  readonly asyncNotif?: boolean;

  /** The trusted applications that can be opened. Default: only the pseudo-TA that lists devices. */
  readonly trustedApplications?: readonly TrustedApplication[];
  /** The clock of secure world. Default: the machine's clock. */
  readonly clock?: Clock;
  /** Decides the order of events. Default: events are not reordered. */
  readonly schedule?: Schedule;
  /** The source of TEE_GenerateRandom. Default: a generator with seed 0. */
  readonly random?: Random;
  /** Faults of secure world. Default: none. */
  readonly faults?: Faults;
  /** The driver in secure world that uses asynchronous notifications. Default: none. */
  readonly notificationDriver?: NotificationDriver;
  /** Called for each event in secure world. */
  readonly trace?: (event: SecureWorldEvent) => void;
}

const worldNames: OptionNames<SimulatedWorldOptions> = {
  abi: true,
  threads: true,
  announcedThreads: true,
  dram: true,
  reservedShm: true,
  dramFile: true,
  dynamicShm: true,
  memrefNull: true,
  rpcArg: true,
  asyncNotif: true,
  trustedApplications: true,
  clock: true,
  schedule: true,
  random: true,
  faults: true,
  notificationDriver: true,
  trace: true,
};

/** An open file that is mapped into this process. */
export interface DramFile extends Disposable {
  readonly fd: number;
  /** A view of the mapping. */
  view(offset: number, length: number): ArrayBuffer;
}

/** The state of a thread context as plain data, for reports. */
export interface ThreadReport {
  readonly id: number;
  readonly state: ThreadState;
  /** The kind of call that it executes, for example `invoke`; empty if it is free. */
  readonly activity: string;
  /** The name (or UUID) of the application that the call is for; empty if there is none. */
  readonly application: string;
  /** The command of an invoke. */
  readonly command: number;
  /** The RPC that it has requested; empty if it is not suspended. */
  readonly request: string;
}

const mebibyte = 1024 * 1024;
const defaultDram: MemoryRange = { base: 0x4000_0000, size: 64 * mebibyte };
const defaultReservedShm: MemoryRange = { base: 0x4200_0000, size: 2 * mebibyte };

/**
 * OP-TEE, simulated in this process. It answers the same SMCs, at the same physical addresses, with the same bytes as
 * the real one. Its trusted applications are written in TypeScript.
 *
 * Not simulated, and refused on request: virtualization, protected memory and the secure data path, messages over
 * non-adjacent pages. Cryptography and secure storage are not offered to trusted applications.
 *
 * An SMC that nothing suspends is answered synchronously. All waiting is for promises and for the given clock, so a run
 * with a virtual clock and a seeded schedule is repeatable.
 */
export class SimulatedWorld implements SecureWorld, Conduit {
  readonly name = 'simulated';
  readonly abi: 'smc' | 'ffa';
  /** Between the normal world and OP-TEE; undefined with raw SMCs. */
  private readonly spmc: Spmc | undefined;
  readonly memory: NonSecureMemory;
  readonly normalWorldRam: readonly MemoryRange[];
  readonly memoryFile?: PhysicalMemoryFile;
  private readonly dramFile: DramFile | undefined;
  private readonly core: Core;
  private readonly manager: TaManager;
  private readonly panicHandlers = new Set<(panic: TaPanicReport) => void>();
  readonly panics: PanicSource = {
    listen: (handler) => {
      const told = unbreakable('a listener to panics', handler);
      this.panicHandlers.add(told);
      return () => this.panicHandlers.delete(told);
    },
  };
  private death: ConduitError | undefined;
  private tellEnd: (death: ConduitError) => void = () => undefined;
  readonly ended = new Promise<ConduitError>((resolve) => {
    this.tellEnd = resolve;
  });

  /** @throws RangeError for values that are impossible on a board; TypeError naming an unknown option or fault. */
  constructor(options: SimulatedWorldOptions = {}) {
    requireKnownOptions('simulated world', options, worldNames);
    requireKnownOptions('faults of the simulated world', options.faults ?? {}, faultNames);
    const threads = options.threads ?? 2;
    const dram = options.dram ?? defaultDram;
    this.abi = options.abi ?? 'smc';
    const ffa = this.abi === 'ffa';
    const reservedShm = ffa || options.reservedShm === false ? undefined : (options.reservedShm ?? defaultReservedShm);
    if (this.abi !== 'smc' && !ffa) throw new RangeError(`there is no ABI ${show(this.abi)}; allowed: smc and ffa`);
    if (!(Number.isInteger(threads) && threads >= 1 && threads <= mostThreads))
      throw new RangeError(`threads is ${show(threads)}, allowed are integers 1..${mostThreads}`);
    const announced = options.announcedThreads === false ? undefined : (options.announcedThreads ?? threads);
    if (announced !== undefined && !(Number.isInteger(announced) && announced >= 0 && announced <= 0xffff_ffff))
      throw new RangeError(`announcedThreads is ${show(announced)}, allowed are integers 0..4294967295, and false`);
    for (const range of reservedShm === undefined ? [dram] : [dram, reservedShm])
      if (typeof range?.base !== 'number' || typeof range.size !== 'number')
        throw new RangeError(`memory is ${show(range)}, allowed are { base, size } in bytes`);
      else if (range.base % pageSize !== 0 || range.size % pageSize !== 0 || !contains(dram, range))
        throw new RangeError(
          `memory 0x${range.base.toString(16)}, 0x${range.size.toString(16)} bytes: not in pages of DRAM`,
        );
    this.dramFile = options.dramFile?.(dram.size);
    if (this.dramFile !== undefined) this.memoryFile = { fd: this.dramFile.fd, base: dram.base };
    this.memory = new NonSecureMemory(dram, reservedShm, this.dramFile?.view(0, dram.size));
    this.normalWorldRam = reservedShm === undefined ? [dram] : without(dram, reservedShm);
    this.core = new Core(
      {
        threads,
        announcedThreads: announced,
        dynamicShm: ffa || (options.dynamicShm ?? true),
        memrefNull: ffa || (options.memrefNull ?? true),
        rpcArg: ffa || (options.rpcArg ?? true),
        asyncNotif: options.asyncNotif ?? true,
        ffa,
      },
      this.memory,
      options.clock ?? machineClock,
      options.schedule ?? immediateSchedule,
      options.random ?? seededRandom(0),
      options.faults ?? {},
      (event) => {
        options.trace?.(event);
        if (event.type === 'panic') this.tellPanic(event);
      },
      options.notificationDriver ?? {},
    );
    const given = options.trustedApplications ?? [];
    // A given application with the same UUID replaces the built-in one.
    const applications = [deviceEnumerationPta(given), ...given];
    this.manager = new TaManager(this.core, new Map(applications.map((ta) => [ta.uuid, ta])));
    const { ffaShares } = this.core;
    this.spmc =
      ffaShares === undefined
        ? undefined
        : new Spmc(this.core, ffaShares, {
            enter: (call) => this.enter(call),
            resume: (call) => this.resume(call),
          });
  }

  /** The number of FF-A shares that were not reclaimed. */
  get ffaShareCount(): number {
    return this.core.ffaShares?.count ?? 0;
  }

  get notificationInterrupt(): InterruptSource {
    return this.core.asyncNotif;
  }

  /**
   * Notify the normal world: a value becomes pending and the interrupt is raised.
   * @param value 1..63; 0 requests bottom half processing.
   * @returns false if the normal world has not enabled notifications.
   * @throws RangeError for another value; over FF-A for every value but 0, the only notification of OP-TEE there.
   */
  notify(value: number): boolean {
    if (this.abi === 'ffa' && value !== 0) throw new RangeError(`notification value ${value} over FF-A`);
    return this.core.asyncNotif.send(value);
  }

  get conduit(): Conduit {
    return this;
  }

  /** The state of every thread context. */
  get threads(): readonly ThreadReport[] {
    return this.core.threads.map(({ id, state, activity, application, command, request }) => ({
      id,
      state,
      activity,
      application,
      command,
      request,
    }));
  }

  /** The number of open sessions. */
  get sessionCount(): number {
    return this.manager.sessionCount;
  }

  /** The numbers of the open sessions, in the order in which they were opened. */
  get sessionNumbers(): readonly number[] {
    return this.manager.sessionNumbers;
  }

  /** The number of shared memory objects that secure world has. */
  get sharedMemoryCount(): number {
    return this.core.registeredShm.size;
  }

  /**
   * An interrupt for the normal world: every application that computes leaves secure world with FOREIGN_INTR.
   * @returns the number of interrupted threads.
   */
  interrupt(): number {
    let interrupted = 0;
    for (const thread of this.core.threads) {
      if (thread.interrupt === undefined) continue;
      thread.interrupt();
      interrupted++;
    }
    return interrupted;
  }

  /**
   * Leak a free thread context, like a defect of secure world: it stays occupied, without a call.
   * @returns its number; undefined if none is free.
   */
  loseThread(): number | undefined {
    const thread = this.core.allocateThread();
    if (thread === undefined) return undefined;
    thread.activity = 'lost';
    this.core.log(`thread ${thread.id} is lost`);
    return thread.id;
  }

  smc(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    if (this.death !== undefined) return Promise.reject(this.death);
    const { faults } = this.core;
    const replaced = faults.smc?.(call);
    if (replaced !== undefined) return replaced;
    const answer = this.handle(call);
    if (faults.smcReturn === undefined) return answer;
    const alter = (registers: SmcRegisters) => faults.smcReturn?.(registers, call) ?? registers;
    return answer instanceof Promise ? answer.then(alter) : alter(answer);
  }

  /** Dispose of the world. Calls inside never return. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.die('it was closed');
    this.dramFile?.[Symbol.dispose]();
  }

  private handle(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    if (this.spmc !== undefined) return this.spmc.smc(call);
    if (isFastCall(call.a0)) return entryFast(this.core, call);
    if (call.a0 === OpteeSmc.returnFromRpc) return this.resume(call);
    return this.enter(call);
  }

  /** thread_alloc_and_run(). */
  private enter(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    const thread = this.core.allocateThread();
    if (thread === undefined) return threadLimit;
    let code: number | Promise<number>;
    try {
      code = start(stdSmcEntry(this.core, this.manager, thread, call));
    } catch (error) {
      return Promise.reject(this.die(error));
    }
    const ended = this.core.schedule.decides ? this.heldAtReturn(thread, code) : code;
    if (typeof ended === 'number') {
      thread.free();
      return smcRegisters(ended);
    }
    ended.then(
      (late) => {
        thread.free();
        thread.leave(smcRegisters(late));
      },
      (error: unknown) => this.die(error),
    );
    return thread.outcome();
  }

  /**
   * A scheduling point before a call returns: other calls can arrive while a call has its thread, however short it is.
   */
  private async heldAtReturn(thread: Thread, code: number | Promise<number>): Promise<number> {
    const ended = await code;
    await this.core.schedule.point(`secure thread ${thread.id}`, 'return');
    return ended;
  }

  /** thread_resume_from_rpc(). */
  private resume(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    const thread = this.core.threads[call.a3];
    const { schedule, faults } = this.core;
    const go = () => {
      if (!thread?.resume(call)) return smcRegisters(OpteeSmcReturn.eresume);
      // The second resume gets ERESUME, because the thread was resumed once.
      if (faults.resumedTwice?.(thread.id) && thread.resume(call)) this.die('a thread was resumed twice');
      return thread.outcome();
    };
    if (thread === undefined || !schedule.decides) return go();
    return schedule.point(`secure thread ${thread.id}`, 'resume').then(go);
  }

  private tellPanic({ uuid, code, text, isException }: Extract<SecureWorldEvent, { type: 'panic' }>): void {
    const why = isException && text !== undefined ? { why: text } : {};
    for (const handler of this.panicHandlers) handler({ uuid, code, ...why });
  }

  private die(cause: unknown): ConduitError {
    // The message contains the cause of a panic.
    const [why, thrown] =
      cause instanceof CorePanic
        ? [cause.message, cause.cause]
        : [typeof cause === 'string' ? cause : show(cause), cause];
    const brief = 'the simulated secure world is dead';
    this.death ??= new ConduitError(`${brief}: ${why}`, {
      brief,
      ...(thrown instanceof Error ? { cause: thrown } : {}),
    });
    this.tellEnd(this.death);
    for (const thread of this.core.threads) thread.fail(this.death);
    return this.death;
  }
}

/** ETHREAD_LIMIT does not define registers a1..a3. */
const threadLimit = smcRegisters(OpteeSmcReturn.ethreadLimit);

function contains(outer: MemoryRange, inner: MemoryRange): boolean {
  return inner.size > 0 && inner.base >= outer.base && inner.base + inner.size <= outer.base + outer.size;
}

function without(range: MemoryRange, hole: MemoryRange): MemoryRange[] {
  const end = range.base + range.size;
  const holeEnd = hole.base + hole.size;
  return [
    { base: range.base, size: hole.base - range.base },
    { base: holeEnd, size: end - holeEnd },
  ].filter(({ size }) => size > 0);
}
