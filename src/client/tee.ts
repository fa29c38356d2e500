import { type Clock, machineClock } from '../clock/clock.js';
import type { OptionNames } from '../known-options.js';
import type { DisciplineName, QueueState } from '../optee/call-queue/call-queue.js';
import { waitsFor } from '../optee/rpc/rpc-in-service.js';
import type { SupplicantQueue } from '../optee/rpc/supplicant-queue.js';
import type { SecureWorldInfo } from '../optee/smc/smc-probe.js';
import { type UnfinishedCall, unfinishedCalls } from '../optee/unfinished-calls.js';
import type { PhysicalMemory } from '../protocol/physical-memory.js';
import type { PanicSource, PhysicalMemoryFile } from '../protocol/secure-world.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { RpmbDevice } from '../rpmb/rpmb-device.js';
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

export interface ContextOptions {
  /** What traces and reports call this client. */
  readonly label?: string;
  /** Who the client is; the one given to `openTee` when left out. */
  readonly identity?: ClientIdentity;
}

const contextNames: OptionNames<ContextOptions> = { label: true, identity: true };
const kernelContextNames: OptionNames<Omit<ContextOptions, 'identity'>> = { label: true };

export interface CloseOptions {
  /**
   * How long calls in flight may take to come back, in milliseconds of the TEE's clock: 3000 when left out. Then secure
   * world is ended under those that have not. 0: at once; Infinity: they are waited for, however long.
   */
  readonly graceMs?: number;
  /** For OP-TEE that will not come back: end it at once, as `graceMs: 0` does. */
  readonly force?: boolean;
}

const closeNames: OptionNames<CloseOptions> = { graceMs: true, force: true };
const defaultGraceMs = 3000;
/** How long what is left may take when secure world is gone: nothing of it waits for that any more. */
const remainsMs = 1000;

/** A call that secure world has suspended until the normal world gives it something. */
export interface WaitingCall extends UnfinishedCall {
  /** Since when, in milliseconds of the TEE's clock. */
  readonly since: number;
}

/** Serves a TEE and ends with it. */
export interface Attendant extends Disposable {
  /** Resolves, in bounded time, when it has been disposed of and what it had open is closed. */
  readonly released: Promise<void>;
}

/** An opened TEE. */
export class Tee implements AsyncDisposable {
  /** The device below the client API, for those who speak its language. */
  readonly device: TeeDevice;
  /** Those that are open. */
  private readonly contexts = new Set<Context | KernelContext>();
  /** What serves this TEE and ends with it, before its world. */
  private readonly attendants = new Set<Attendant>();
  private contextCount = 0;
  private closed: Promise<readonly UnfinishedCall[]> | undefined;

  /** Made by `openTee`. */
  constructor(
    private readonly under: DriverOfTee,
    private readonly identity: ClientIdentity,
    /** How long a call may take that does not say otherwise, in milliseconds; Infinity for ever. */
    readonly callLimitMs: number,
  ) {
    this.device = new TeeDevice(under.driver);
  }

  /**
   * What secure world said of itself.
   * @throws TeecError NOT_SUPPORTED in world `linux`, as everything here that only the driver itself can tell.
   */
  get info(): SecureWorldInfo {
    return this.inside('info').info;
  }

  /** OP-TEE's version, as it says it: `4.5`; undefined where Linux does not show it (before 7.0). */
  get revision(): string | undefined {
    return this.under.revision;
  }

  /**
   * Where RPMB frames go that OP-TEE sends: to a card by way of the kernel, or of the supplicant. Undefined where Linux does
   * not show it.
   */
  get rpmbRouting(): RpmbRouting | undefined {
    return this.under.rpmbRouting;
  }

  /** The stream of everything that happens; nothing is recorded unless somebody listens. */
  get trace(): Trace {
    return this.under.trace;
  }

  /** The call queue's discipline. */
  get queue(): DisciplineName {
    return this.inside('queue').driver.optee.callQueue.discipline;
  }

  /** The call queue at this moment. */
  queueState(): QueueState {
    return this.inside('queueState').driver.optee.callQueue.state();
  }

  /** Bytes of shared memory in use by clients, secure world, and the driver. */
  get sharedMemoryInUse(): number {
    return this.under.sharedMemoryInUse;
  }

  /** Its pieces: physical address and bytes of each, in order of their addresses. */
  get sharedMemoryPlaces(): readonly (readonly [number, number])[] {
    return this.inside('sharedMemoryPlaces').driver.optee.sharedMemoryPlaces;
  }

  /** What calls of secure world wait for in the normal world, besides other calls: for whoever asks why one hangs. */
  waiting(): {
    /** By call, the oldest first. Calls that wait for a thread of secure world are in `queueState()`. */
    readonly calls: readonly WaitingCall[];
    /** Requests that no supplicant has taken. */
    readonly supplicantRequests: readonly string[];
    readonly notifications: readonly number[];
    /** Calls that secure world executes, or does not let go of: nobody outside knows what for. */
    readonly inside: readonly UnfinishedCall[];
  } {
    const { optee } = this.inside('waiting').driver;
    const { supplicant, notifications, rpcs } = optee;
    const calls = [...rpcs].map((rpc) => ({
      call: rpc.call.id,
      context: rpc.call.context.label,
      purpose: rpc.call.purpose,
      session: rpc.call.session,
      waitsFor: waitsFor(rpc, supplicant.present),
      since: rpc.since,
    }));
    return {
      calls,
      supplicantRequests: supplicant.waitingCommands,
      notifications: notifications.waitingFor,
      inside: unfinishedCalls(optee, 'inside'),
    };
  }

  /**
   * The devices that OP-TEE wants drivers for. Those that need a supplicant or the RPMB are listed when one, or a card, is
   * there; in world `linux` always, as the kernel does not say whether they are.
   * @throws TeecError COMMUNICATION when OP-TEE's answer is no list of UUIDs.
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
   * The devices as they come and go: with the supplicant, and with a card; in world `linux` as the kernel has them on its bus
   * (`/sys/bus/tee`). Resolves with those that there are.
   * @throws TeecError BAD_PARAMETERS for what is no option or no UUID, NOT_SUPPORTED where the kernel does not show its bus;
   *   and as `devices()` does.
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
   * A card was put in: the driver routes RPMB frames to it, after those that were there.
   * @returns takes it out. @throws TeecError NOT_SUPPORTED in world `linux`.
   */
  addRpmb(device: RpmbDevice): () => void {
    return this.inside('addRpmb').driver.optee.rpmb.add(device);
  }

  /** What a supplicant needs: its requests, and memory that secure world can reach. Linux's `/dev/teepriv0`. */
  get supplicantDevice(): {
    readonly queue: SupplicantQueue;
    readonly allocate: (size: number) => Promise<TeeShm>;
  } {
    const { driver } = this.inside('supplicantDevice');
    return { queue: driver.optee.supplicant, allocate: (size) => driver.allocateForRpc(size) };
  }

  /** Shared memory lies in this file, which other processes can map; undefined when the world's memory is in none. */
  get memoryFile(): PhysicalMemoryFile | undefined {
    return this.under.inside?.world.memoryFile;
  }

  /**
   * Non-secure memory at fixed places, which the platform keeps for other things than the driver, by physical address: what
   * a device tree names as an SCMI channel's `shmem`. Undefined when the world has none.
   */
  get platformMemory(): PhysicalMemory | undefined {
    return this.under.inside?.world.platformMemory;
  }

  /** Panics of trusted applications; undefined when the world cannot tell. */
  get panics(): PanicSource | undefined {
    return this.under.inside?.world.panics;
  }

  /**
   * Resolves when every line that secure world has printed so far was told. The lines of a call have been when it is back;
   * this is for what OP-TEE prints outside of calls. At once where the world has no console.
   */
  async consoleIdle(): Promise<void> {
    await this.under.inside?.world.consoleIdle?.();
  }

  /** Resolves with the reason when secure world can no longer be reached; undefined when its world cannot tell. */
  get ended(): Promise<Error> | undefined {
    return this.under.ended;
  }

  /**
   * It is disposed of when the TEE closes, when the clients have gone and before the driver and the world go.
   * @returns forgets it: it has left before.
   */
  adopt(attendant: Attendant): () => void {
    this.attendants.add(attendant);
    return () => this.attendants.delete(attendant);
  }

  /**
   * TEEC_InitializeContext: a client in user space.
   * @throws TeecError BAD_PARAMETERS for what is no option; in world `linux` NOT_SUPPORTED for an identity, which is the
   *   process's own there.
   */
  openContext(options: ContextOptions = {}): Context {
    checkOptions('opening a context', options, contextNames);
    if (options.identity !== undefined) this.inside('the identity of a context');
    const { identity = this.identity } = options;
    checkIdentity(identity);
    const label = labelOf(options) ?? `client ${++this.contextCount}`;
    const context = new Context(this.device, label, identity, this.limits(), () => this.contexts.delete(context));
    this.contexts.add(context);
    return context;
  }

  /** A client inside the kernel, which may have system sessions: Linux's `tee_client_open_context()`. */
  openKernelContext(options: Omit<ContextOptions, 'identity'> = {}): KernelContext {
    checkOptions('opening a kernel context', options, kernelContextNames);
    this.inside('a context of the kernel');
    const label = labelOf(options) ?? `kernel client ${++this.contextCount}`;
    const context = new KernelContext(this.device, label, this.limits(), () => this.contexts.delete(context));
    this.contexts.add(context);
    return context;
  }

  /**
   * Close every context, its calls in flight cancelled, then the supplicant, the driver, the world. What does not come
   * back in time, a TA that sleeps or never answers, loses its secure world: then a mark in the trace says so.
   * @returns the calls that had not come back.
   * @throws TeecError BAD_PARAMETERS for what is no option; what the closing of a session failed with, after all is closed.
   */
  close(options: CloseOptions = {}): Promise<readonly UnfinishedCall[]> {
    checkOptions('closing the TEE', options, closeNames);
    const { force, graceMs = force ? 0 : defaultGraceMs } = options;
    if (force !== undefined && typeof force !== 'boolean')
      throw badParameters(`closing the TEE: force is ${String(force)}; allowed: true and false`);
    if (force && graceMs !== 0) throw badParameters(`closing the TEE: force contradicts graceMs ${String(graceMs)} ms`);
    if (!(typeof graceMs === 'number' && graceMs >= 0))
      throw badParameters(`closing the TEE: graceMs is ${String(graceMs)}; allowed: milliseconds from 0, and Infinity`);
    this.closed ??= this.closeAll(graceMs);
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async closeAll(graceMs: number): Promise<readonly UnfinishedCall[]> {
    let unfinished: readonly UnfinishedCall[] = [];
    // The world goes in any case, whatever a client's last call says.
    try {
      const orderly = this.closeOrderly();
      // No time at all passes by itself on a virtual clock.
      const clock = graceMs === 0 ? machineClock : this.under.clock;
      if (!(await within(clock, graceMs, orderly))) {
        unfinished = this.under.unfinished();
        this.trace.mark(
          `the TEE closes although ${unfinished.length} calls have not returned: ${unfinished.map(({ call, waitsFor }) => `call ${call} waits for ${waitsFor}`).join('; ')}`,
        );
        this.under.end();
        void this.dismissAttendants();
        await this.under[Symbol.asyncDispose]();
        // Calls end now, and find that their world is gone: no news to whoever closes it.
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
    // While the driver can still take back what secure world holds of the supplicant's memory.
    void this.dismissAttendants();
    // With a client's call inside that does not come back nothing can be had back from secure world. A bottom half is the
    // driver's own, and the driver waits for its end.
    const isHeld = this.under.unfinished().some(({ purpose }) => purpose !== 'bottom-half');
    await eachStep([
      () => (isHeld ? undefined : this.under.driver.remove()),
      () => {
        if (failed !== undefined) throw failed.reason;
      },
    ]);
  }

  /** Of one context: what is overdue is counted for each. */
  private limits(): CallLimits {
    return { clock: this.under.clock, callLimitMs: this.callLimitMs, overdue: 0 };
  }

  /** @throws TeecError NOT_SUPPORTED naming what only a driver of ours has. */
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

/** Whether something is done in that time. @throws what it fails with meanwhile. */
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
