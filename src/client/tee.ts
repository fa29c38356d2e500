import type { DisciplineName, QueueState } from '../optee/call-queue/call-queue.js';
import type { OpteeDriver } from '../optee/optee-driver.js';
import type { SecureWorldInfo } from '../optee/smc-probe.js';
import type { ClientIdentity } from '../tee/login.js';
import { TeeDevice } from '../tee/tee-device.js';
import type { Trace } from '../trace/trace.js';
import { Context, KernelContext } from './context.js';

export interface ContextOptions {
  /** What traces and reports call this client. */
  readonly label?: string;
  /** Who the client is; the one given to `openTee` when left out. */
  readonly identity?: ClientIdentity;
}

/** An opened TEE. */
export class Tee implements AsyncDisposable {
  /** The device below the client API, for those who speak its language. */
  readonly device: TeeDevice;
  private readonly contexts = new Set<Context | KernelContext>();
  private contextCount = 0;
  private closed: Promise<void> | undefined;

  /** Made by `openTee`. */
  constructor(
    /** What secure world said of itself. */
    readonly info: SecureWorldInfo,
    private readonly driver: OpteeDriver,
    private readonly identity: ClientIdentity,
    private readonly onClose: () => Promise<void>,
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
    return this.driver.optee.pool.bytesInUse;
  }

  /** What calls of secure world wait for in the normal world, besides other calls: for whoever asks why one hangs. */
  waiting(): { readonly supplicantRequests: readonly string[]; readonly notifications: readonly number[] } {
    const { supplicant, notifications } = this.driver.optee;
    return { supplicantRequests: supplicant.waitingCommands, notifications: notifications.waitingFor };
  }

  /** TEEC_InitializeContext: a client in user space. */
  openContext(options: ContextOptions = {}): Context {
    const label = options.label ?? `client ${++this.contextCount}`;
    return this.own(new Context(this.device, label, options.identity ?? this.identity));
  }

  /** A client inside the kernel, which may have system sessions: Linux's `tee_client_open_context()`. */
  openKernelContext(options: Omit<ContextOptions, 'identity'> = {}): KernelContext {
    return this.own(new KernelContext(this.device, options.label ?? `kernel client ${++this.contextCount}`));
  }

  /** Close every context, then the driver, then the world. */
  close(): Promise<void> {
    this.closed ??= this.closeAll();
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private own<C extends Context | KernelContext>(context: C): C {
    this.contexts.add(context);
    return context;
  }

  private async closeAll(): Promise<void> {
    // The world goes in any case, whatever a client's last call says.
    try {
      await Promise.all([...this.contexts].map((context) => context.close()));
      await this.driver.remove();
    } finally {
      await this.onClose();
    }
  }
}
