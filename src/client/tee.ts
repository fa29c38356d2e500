import type { OptionNames } from '../known-options.js';
import type { DisciplineName, QueueState } from '../optee/call-queue/call-queue.js';
import type { OpteeDriver } from '../optee/optee-driver.js';
import { waitsFor } from '../optee/rpc-in-service.js';
import type { SecureWorldInfo } from '../optee/smc-probe.js';
import type { SupplicantQueue } from '../optee/supplicant-queue.js';
import type { PhysicalMemoryFile, SecureWorld } from '../protocol/secure-world.js';
import { type ClientIdentity, checkIdentity } from '../tee/login.js';
import { TeeDevice } from '../tee/tee-device.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters, checkOptions } from '../tee/teec-error.js';
import type { CallPurpose, Trace } from '../trace/trace.js';
import { Context, KernelContext } from './context.js';
import { enumerateDevices, type TeeDeviceDescription } from './devices.js';

export interface ContextOptions {
  /** What traces and reports call this client. */
  readonly label?: string;
  /** Who the client is; the one given to `openTee` when left out. */
  readonly identity?: ClientIdentity;
}

const contextNames: OptionNames<ContextOptions> = { label: true, identity: true };
const kernelContextNames: OptionNames<Omit<ContextOptions, 'identity'>> = { label: true };

/** A call that secure world has suspended until the normal world gives it something. */
export interface WaitingCall {
  /** Its number, as in traces and in the queue's state. */
  readonly call: number;
  /** The label of its client context. */
  readonly context: string;
  readonly purpose: CallPurpose;
  /** 0 when it belongs to none. */
  readonly session: number;
  /** `a supplicant to come: LOAD_TA`, `notification 65`. */
  readonly waitsFor: string;
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
  private closed: Promise<void> | undefined;

  /** Made by `openTee`. */
  constructor(
    /** What secure world said of itself. */
    readonly info: SecureWorldInfo,
    private readonly driver: OpteeDriver,
    private readonly identity: ClientIdentity,
    private readonly world: SecureWorld,
  ) {
    this.device = new TeeDevice(driver);
  }

  /** The stream of everything that happens; nothing is recorded unless somebody listens. */
  get trace(): Trace {
    return this.driver.optee.trace;
  }

  /** The call queue's discipline. */
  get queue(): DisciplineName {
    return this.driver.optee.callQueue.discipline;
  }

  /** The call queue at this moment. */
  queueState(): QueueState {
    return this.driver.optee.callQueue.state();
  }

  /** Bytes of shared memory in use by clients, secure world, and the driver. */
  get sharedMemoryInUse(): number {
    return this.driver.optee.sharedMemoryInUse;
  }

  /** What calls of secure world wait for in the normal world, besides other calls: for whoever asks why one hangs. */
  waiting(): {
    /** By call, the oldest first. Calls that wait for a thread of secure world are in `queueState()`. */
    readonly calls: readonly WaitingCall[];
    /** Requests that no supplicant has taken. */
    readonly supplicantRequests: readonly string[];
    readonly notifications: readonly number[];
  } {
    const { supplicant, notifications, rpcs } = this.driver.optee;
    const calls = [...rpcs].map((rpc) => ({
      call: rpc.call.id,
      context: rpc.call.context.label,
      purpose: rpc.call.purpose,
      session: rpc.call.session,
      waitsFor: waitsFor(rpc, supplicant.present),
      since: rpc.since,
    }));
    return { calls, supplicantRequests: supplicant.waitingCommands, notifications: notifications.waitingFor };
  }

  /**
   * The devices that OP-TEE wants drivers for. Those that need a supplicant are listed when one is there.
   * @throws TeecError COMMUNICATION when OP-TEE's answer is no list of UUIDs.
   */
  async devices(): Promise<readonly TeeDeviceDescription[]> {
    const context = this.openKernelContext({ label: 'device enumeration' });
    try {
      return await enumerateDevices(context, this.driver.optee.supplicant.present);
    } finally {
      await context.close();
    }
  }

  /** What a supplicant needs: its requests, and memory that secure world can reach. Linux's `/dev/teepriv0`. */
  get supplicantDevice(): {
    readonly queue: SupplicantQueue;
    readonly allocate: (size: number) => Promise<TeeShm>;
  } {
    const { driver } = this;
    return { queue: driver.optee.supplicant, allocate: (size) => driver.allocateForRpc(size) };
  }

  /** Shared memory lies in this file, which other processes can map; undefined when the world's memory is in none. */
  get memoryFile(): PhysicalMemoryFile | undefined {
    return this.world.memoryFile;
  }

  /**
   * It is disposed of when the TEE closes, when the clients have gone and before the driver and the world go.
   * @returns forgets it: it has left before.
   */
  adopt(attendant: Attendant): () => void {
    this.attendants.add(attendant);
    return () => this.attendants.delete(attendant);
  }

  /** TEEC_InitializeContext: a client in user space. @throws TeecError BAD_PARAMETERS for what is no option. */
  openContext(options: ContextOptions = {}): Context {
    checkOptions('opening a context', options, contextNames);
    const { identity = this.identity } = options;
    checkIdentity(identity);
    const label = labelOf(options) ?? `client ${++this.contextCount}`;
    const context = new Context(this.device, label, identity, () => this.contexts.delete(context));
    this.contexts.add(context);
    return context;
  }

  /** A client inside the kernel, which may have system sessions: Linux's `tee_client_open_context()`. */
  openKernelContext(options: Omit<ContextOptions, 'identity'> = {}): KernelContext {
    checkOptions('opening a kernel context', options, kernelContextNames);
    const label = labelOf(options) ?? `kernel client ${++this.contextCount}`;
    const context = new KernelContext(this.device, label, () => this.contexts.delete(context));
    this.contexts.add(context);
    return context;
  }

  /** Close every context, its calls in flight cancelled, then the supplicant, the driver, the world. */
  close(): Promise<void> {
    this.closed ??= this.closeAll();
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async closeAll(): Promise<void> {
    // The world goes in any case, whatever a client's last call says.
    try {
      await Promise.all([...this.contexts].map((context) => context.kill()));
      // While the driver can still take back what secure world holds of the supplicant's memory.
      void this.dismissAttendants();
      await this.driver.remove();
    } finally {
      const released = this.dismissAttendants();
      try {
        await this.world[Symbol.asyncDispose]();
      } finally {
        await released;
      }
    }
  }

  private async dismissAttendants(): Promise<void> {
    const attendants = [...this.attendants];
    for (const attendant of attendants) attendant[Symbol.dispose]();
    await Promise.all(attendants.map(({ released }) => released));
  }
}

function labelOf({ label }: ContextOptions): string | undefined {
  if (label !== undefined && typeof label !== 'string')
    throw badParameters(`a context's label is text, not ${typeof label}`);
  return label;
}
