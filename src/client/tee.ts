import { type Clock, machineClock } from '../clock/clock.js';
import { type OptionNames, requireMethods } from '../known-options.js';
import type { DisciplineName, QueueState } from '../optee/call-queue/call-queue.js';
import type { SupplicantQueue } from '../optee/rpc/supplicant-queue.js';
import type { SecureWorldInfo } from '../optee/smc/smc-probe.js';
import { type CallsInProgress, callsInProgress, type UnfinishedCall } from '../optee/unfinished-calls.js';
import type { PhysicalMemory } from '../protocol/physical-memory.js';
import type { PanicSource, PhysicalMemoryFile } from '../protocol/secure-world.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { RpmbDevice } from '../rpmb/rpmb-device.js';
import { show } from '../show.js';
import { eachStep } from '../tee/each-step.js';
import { type ClientIdentity, checkIdentity } from '../tee/login.js';
import { TeeDevice } from '../tee/tee-device.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters, checkOptions, commsError } from '../tee/teec-error.js';
import type { Trace } from '../trace/trace.js';
import type { CallLimits } from './call-limit.js';
import { Context, KernelContext } from './context.js';
import { DeviceWatch, type WatchDevicesOptions, watched } from './device-watch.js';
import { enumerateDevices, type TeeDeviceDescription } from './devices.js';
import type { DriverInside, DriverOfTee, RpmbRouting } from './driver-of-tee.js';
import { waitingCallsOf } from './waiting-calls.js';

/** Options of `Tee.openContext`. */
export interface ContextOptions {
  /** The name of this client in traces and reports. */
  readonly label?: string;
  /** The identity of the client. Default: the one given to `openTee`. */
  readonly identity?: ClientIdentity;
}

const contextNames: OptionNames<ContextOptions> = { label: true, identity: true };
const kernelContextNames: OptionNames<Omit<ContextOptions, 'identity'>> = { label: true };

/** Options of `Tee.close`. */
export interface CloseOptions {
  /**
   * The time in which calls in flight must return, in milliseconds of the TEE's clock; default 3000. After it, secure
   * world is ended while they are inside. 0: at once; Infinity: no limit.
   */
  readonly graceMs?: number;
  /** End secure world at once, as `graceMs: 0` does: for an OP-TEE that no longer answers. */
  readonly force?: boolean;
}

const closeNames: OptionNames<CloseOptions> = { graceMs: true, force: true };
const defaultGraceMs = 3000;
/** Limit in milliseconds for the remaining work after secure world has ended; none of it waits for secure world. */
const remainsMs = 1000;

/** A component that serves a TEE and ends with it. */
export interface Attendant extends Disposable {
  /** Resolves, in bounded time, when it is disposed of and its open resources are closed. */
  readonly released: Promise<void>;
}

/** An opened TEE. */
export class Tee implements AsyncDisposable {
  /** The device below the client API: the TEE subsystem. */
  readonly device: TeeDevice;
  /** The open contexts. */
  private readonly contexts = new Set<Context | KernelContext>();
  /** Components that end with this TEE, before its world. */
  private readonly attendants = new Set<Attendant>();
  private contextCount = 0;
  private closed: Promise<readonly UnfinishedCall[]> | undefined;

  /** Made by `openTee`. */
  constructor(
    private readonly under: DriverOfTee,
    private readonly identity: ClientIdentity,
    /** The default time limit of a call, in milliseconds; Infinity means no limit. */
    readonly callLimitMs: number,
  ) {
    this.device = new TeeDevice(under.driver);
  }

  /**
   * The properties that secure world reported.
   * @throws TeecError NOT_SUPPORTED in world `linux`, like every member of this class that needs the state of our own
   *   driver.
   */
  get info(): SecureWorldInfo {
    return this.inside('info').info;
  }

  /** OP-TEE's version as it reports it: `4.5`; undefined if Linux does not show it (before 7.0). */
  get revision(): string | undefined {
    return this.under.revision;
  }

  /**
   * The route of OP-TEE's RPMB frames to a card: through the kernel, or through the supplicant. Undefined if Linux does
   * not show it.
   */
  get rpmbRouting(): RpmbRouting | undefined {
    return this.under.rpmbRouting;
  }

  /** The stream of all events. Events are recorded only while there is a listener. */
  get trace(): Trace {
    return this.under.trace;
  }

  /** The call queue's discipline. */
  get queue(): DisciplineName {
    return this.inside('queue').driver.optee.callQueue.discipline;
  }

  /** The present state of the call queue. */
  queueState(): QueueState {
    return this.inside('queueState').driver.optee.callQueue.state();
  }

  /** Bytes of shared memory in use by clients, secure world, and the driver. */
  get sharedMemoryInUse(): number {
    return this.under.sharedMemoryInUse;
  }

  /** The allocated pieces of shared memory: physical address and size in bytes, sorted by address. */
  get sharedMemoryPlaces(): readonly (readonly [number, number])[] {
    return this.inside('sharedMemoryPlaces').driver.optee.sharedMemoryPlaces;
  }

  /** What each call waits for: for the diagnosis of a hang. */
  waiting(): CallsInProgress & {
    /** Requests that no supplicant has received. */
    readonly supplicantRequests: readonly string[];
    readonly notifications: readonly number[];
  } {
    const { optee } = this.inside('waiting').driver;
    return {
      ...callsInProgress(optee),
      supplicantRequests: optee.supplicant.waitingCommands,
      notifications: optee.notifications.waitingFor,
    };
  }

  /**
   * The devices for which OP-TEE wants drivers. Devices that need a supplicant or the RPMB are listed if one, or a
   * card, is available; in world `linux` always, because the kernel does not report this.
   * @throws TeecError COMMUNICATION if OP-TEE's answer is not a list of UUIDs.
   */
  async devices(): Promise<readonly TeeDeviceDescription[]> {
    const { inside, devices } = this.under;
    const label = 'device enumeration';
    const context = inside === undefined ? this.openContext({ label }) : this.openKernelContext({ label });
    try {
      return await enumerateDevices(context, devices.there);
    } finally {
      await context.close();
    }
  }

  /**
   * Watch the devices. They change with the supplicant and with a card; in world `linux` with the kernel's bus
   * (`/sys/bus/tee`). Resolves after the present devices have been reported.
   * @throws TeecError BAD_PARAMETERS for an unknown option or an invalid UUID, NOT_SUPPORTED if the kernel does not
   *   show its bus; and like `devices()`.
   */
  async watchDevices(options: WatchDevicesOptions = {}): Promise<DeviceWatch> {
    const { devices, trace } = this.under;
    const watch = new DeviceWatch(() => this.devices(), devices, trace, watched(options));
    const forget = this.adopt(watch);
    void watch.released.then(forget);
    await watch.begin();
    return watch;
  }

  /**
   * Add an RPMB card. The driver routes RPMB frames to it, after the cards that were added before.
   * @returns removes the card.
   * @throws TeecError NOT_SUPPORTED in world `linux`; TypeError if it is not an RPMB device.
   */
  addRpmb(device: RpmbDevice): () => void {
    requireMethods('addRpmb', 'the device', device, ['exchange']);
    return this.inside('addRpmb').driver.optee.rpmb.add(device);
  }

  /** The interface for a supplicant: its requests, and memory that secure world can access. Linux's `/dev/teepriv0`. */
  get supplicantDevice(): {
    readonly queue: SupplicantQueue;
    readonly allocate: (size: number) => Promise<TeeShm>;
  } {
    const { driver } = this.inside('supplicantDevice');
    return { queue: driver.optee.supplicant, allocate: (size) => driver.allocateForRpc(size) };
  }

  /** The file that holds the shared memory, which other processes can map; undefined if there is none. */
  get memoryFile(): PhysicalMemoryFile | undefined {
    return this.under.inside?.world.memoryFile;
  }

  /**
   * Non-secure memory at fixed physical addresses that the platform reserves for other users than the driver, for
   * example the `shmem` of an SCMI channel in a device tree. Undefined if the world has none.
   */
  get platformMemory(): PhysicalMemory | undefined {
    return this.under.inside?.world.platformMemory;
  }

  /** Panics of trusted applications; undefined if the world does not report them. */
  get panics(): PanicSource | undefined {
    return this.under.inside?.world.panics;
  }

  /**
   * Resolves when every line that secure world has printed so far was delivered. The lines of a call are delivered
   * before the call returns; this method is for lines that OP-TEE prints outside calls. Resolves at once if the world
   * has no console.
   */
  async consoleIdle(): Promise<void> {
    await this.under.inside?.world.consoleIdle?.();
  }

  /** Resolves with the reason when secure world can no longer be reached; undefined if the world does not report it. */
  get ended(): Promise<Error> | undefined {
    return this.under.ended;
  }

  /**
   * Dispose of `attendant` when the TEE closes: after the clients, before the driver and the world.
   * @returns removes it, for an attendant that ended before.
   */
  adopt(attendant: Attendant): () => void {
    this.attendants.add(attendant);
    return () => this.attendants.delete(attendant);
  }

  /**
   * TEEC_InitializeContext: a client in user space.
   * @throws TeecError BAD_PARAMETERS for an unknown option; in world `linux` NOT_SUPPORTED for an identity, because the
   *   kernel takes that of the process.
   */
  openContext(options: ContextOptions = {}): Context {
    checkOptions('opening a context', options, contextNames);
    if (options.identity !== undefined) this.inside('the identity of a context');
    const { identity = this.identity } = options;
    checkIdentity(identity);
    const label = labelOf(options) ?? `client ${++this.contextCount}`;
    const context = new Context(this.device, label, identity, this.limits(label), () => this.contexts.delete(context));
    this.contexts.add(context);
    return context;
  }

  /** A client inside the kernel. It may have system sessions: Linux's `tee_client_open_context()`. */
  openKernelContext(options: Omit<ContextOptions, 'identity'> = {}): KernelContext {
    checkOptions('opening a kernel context', options, kernelContextNames);
    this.inside('a context of the kernel');
    const label = labelOf(options) ?? `kernel client ${++this.contextCount}`;
    const context = new KernelContext(this.device, label, this.limits(label), () => this.contexts.delete(context));
    this.contexts.add(context);
    return context;
  }

  /**
   * Close every context and cancel its calls in flight; then close the supplicant, the driver, the world. If a call
   * does not return within the grace period (a TA that sleeps, or never answers), secure world is ended, and a mark in
   * the trace says so.
   * @returns the calls that had not returned.
   * @throws TeecError BAD_PARAMETERS for an unknown option; the failure of closing a session, after everything is
   *   closed.
   */
  close(options: CloseOptions = {}): Promise<readonly UnfinishedCall[]> {
    checkOptions('closing the TEE', options, closeNames);
    const { force, graceMs = force ? 0 : defaultGraceMs } = options;
    if (force !== undefined && typeof force !== 'boolean')
      throw badParameters(`closing the TEE: force is ${show(force)}; allowed: true and false`);
    if (force && graceMs !== 0) throw badParameters(`closing the TEE: force contradicts graceMs ${show(graceMs)} ms`);
    if (!(typeof graceMs === 'number' && graceMs >= 0))
      throw badParameters(`closing the TEE: graceMs is ${show(graceMs)}; allowed: milliseconds from 0, and Infinity`);
    this.closed ??= this.closeAll(graceMs);
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async closeAll(graceMs: number): Promise<readonly UnfinishedCall[]> {
    let unfinished: readonly UnfinishedCall[] = [];
    // The world is closed in any case, whatever the result of a client's last call.
    try {
      const orderly = this.closeOrderly();
      // A virtual clock does not advance by itself, so it cannot limit the wait.
      const clock = graceMs === 0 ? machineClock : this.under.clock;
      if (!(await within(clock, graceMs, orderly))) {
        unfinished = this.under.unfinished();
        this.trace.mark(
          `the TEE closes although ${unfinished.length} calls have not returned: ${unfinished.map(({ call, waitsFor }) => `call ${call} waits for ${waitsFor}`).join('; ')}`,
        );
        this.under.end();
        void this.dismissAttendants();
        await this.under[Symbol.asyncDispose]();
        // Calls end now with an error, because their world is gone; the caller of `close` need not see these errors.
        await within(
          machineClock,
          remainsMs,
          orderly.catch(() => undefined),
        );
      }
    } finally {
      const released = this.dismissAttendants();
      try {
        await this.under[Symbol.asyncDispose]();
      } finally {
        await released;
      }
    }
    return unfinished;
  }

  private async closeOrderly(): Promise<void> {
    const closings = await Promise.allSettled([...this.contexts].map((context) => context.kill()));
    const failed = closings.find((closing) => closing.status === 'rejected');
    // The attendants end first, while the driver can still take back the supplicant's memory from secure world.
    void this.dismissAttendants();
    // If a client's call does not return, secure world releases no memory. A bottom half is the driver's own call, and
    // the driver waits for its end.
    const isHeld = this.under.unfinished().some(({ purpose }) => purpose !== 'bottom-half');
    await eachStep([
      () => (isHeld ? this.removeAfterWorld() : this.under.driver.remove()),
      () => {
        if (failed !== undefined) throw failed.reason;
      },
    ]);
  }

  /** End secure world first: it cannot use the driver's memory then, nor hold the calls that have not returned. */
  private async removeAfterWorld(): Promise<void> {
    this.under.end();
    await this.under[Symbol.asyncDispose]();
    await this.under.driver.remove();
  }

  /** Limits of one context; overdue calls are counted per context. */
  private limits(label: string): CallLimits {
    const waiting = () => (this.under.inside === undefined ? [] : waitingCallsOf(label, this.waiting()));
    return { clock: this.under.clock, callLimitMs: this.callLimitMs, overdue: 0, waiting };
  }

  /** @throws TeecError NOT_SUPPORTED naming the member that needs our own driver. */
  private inside(what: string): DriverInside {
    const { inside } = this.under;
    if (inside === undefined)
      throw commsError(
        TeeResult.ERROR_NOT_SUPPORTED,
        `${what}: it is inside the driver, and the driver of world "linux" is the kernel's`,
      );
    return inside;
  }

  private async dismissAttendants(): Promise<void> {
    const attendants = [...this.attendants];
    for (const attendant of attendants) attendant[Symbol.dispose]();
    await Promise.all(attendants.map(({ released }) => released));
  }
}

function labelOf({ label }: ContextOptions): string | undefined {
  if (label !== undefined && typeof label !== 'string')
    throw badParameters(`a context's label must be a string, not ${typeof label}`);
  return label;
}

/** Whether `work` ends within `ms`. @throws the failure of `work`, if it fails within `ms`. */
async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  let cancel = () => {};
  const late = new Promise<boolean>((resolve) => {
    cancel = clock.setTimer(ms, () => resolve(false));
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    cancel();
  }
}
