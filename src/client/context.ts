import type { OptionNames } from '../known-options.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import { parseUuid } from '../protocol/uuid.js';
import type { ClientIdentity, Login } from '../tee/login.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeDevice } from '../tee/tee-device.js';
import type { TeeReply } from '../tee/tee-driver.js';
import { badParameters, checkOptions, TeecError } from '../tee/teec-error.js';
import { type CallLimits, checkLimit, endBesides, endWithin, LimitedCall } from './call-limit.js';
import { Operation } from './operation.js';
import type { Parameters } from './parameters.js';
import { RegisteredBuffers } from './registered-buffer.js';
import { KernelSession, Session, withTrouble } from './session.js';
import { SharedMemory } from './shared-memory.js';
import { TemporaryMemory } from './temporary-memory.js';

/** Options of `openSession`. */
export interface OpenSessionOptions<L extends Login = Login> {
  /** The login of the client. Default: public, or REE_KERNEL for kernel clients. */
  readonly login?: L;
  /** Parameters for the TA's open-session entry point. */
  readonly parameters?: Parameters;
  /** The limit in milliseconds, as in `InvokeOptions`. If the session opens after the limit, it is closed. */
  readonly limitMs?: number;
}

/** Size of the memory behind shared memory of 0 bytes, as in libteec: secure world does not accept an empty range. */
const sizeForNone = 8;

const nothing = new Uint8Array(0);

const openSessionNames: OptionNames<OpenSessionOptions> = { login: true, parameters: true, limitMs: true };

/** The logins that user space may use. */
export type UserLogin = Exclude<Login, { login: 'ree-kernel' }>;

/** The common part of user-space and kernel contexts. */
abstract class AnyContext<S extends Session, L extends Login> implements AsyncDisposable {
  protected readonly teeContext: TeeContext;
  protected readonly temporaryMemory: TemporaryMemory;
  private readonly registeredBuffers: RegisteredBuffers;
  private closed: Promise<void> | undefined;

  constructor(
    protected readonly device: TeeDevice,
    label: string,
    kernel: boolean,
    identity: ClientIdentity,
    private readonly limits: CallLimits,
    private readonly defaultLogin: L,
    private readonly sessionClass: new (...args: ConstructorParameters<typeof Session>) => S,
    private readonly onEnd: () => void,
  ) {
    this.teeContext = device.openContext(label, kernel, identity);
    this.temporaryMemory = new TemporaryMemory(device, this.teeContext);
    this.registeredBuffers = new RegisteredBuffers(
      (size) => device.registerShm(this.teeContext, size === 0 ? sizeForNone : size),
      (shm) => device.freeShm(this.teeContext, shm),
    );
  }

  /** Whether an overdue call is still in secure world. */
  get hasOverdueCalls(): boolean {
    return this.limits.overdue > 0;
  }

  /**
   * TEEC_OpenSession.
   * @param uuid the trusted application.
   * @throws TeecError: BAD_PARAMETERS from API for an invalid UUID, login or option, ITEM_NOT_FOUND from TEE if there
   *   is no such TA, ACCESS_DENIED, BUSY, or the result of the TA.
   */
  async openSession(uuid: string, options: OpenSessionOptions<L> = {}): Promise<S> {
    const application = uuidParameter(uuid);
    checkOptions<OpenSessionOptions>(`opening a session with ${application}`, options, openSessionNames);
    // A default replaces only undefined; null is refused below.
    const { login = this.defaultLogin, parameters = [], limitMs = this.limits.callLimitMs } = options;
    const doing = () => `opening a session with ${application}`;
    checkLimit(doing(), limitMs);
    const operation = new Operation(parameters, this.temporaryMemory);
    await operation.prepare();
    const call = new LimitedCall(this.limits, limitMs, doing);
    try {
      const pending = this.device.openSession(this.teeContext, application, login, operation.params);
      const reply = await call.result(pending, () => {
        pending
          .then(({ result, session }) =>
            result === TeeResult.SUCCESS ? this.device.closeSession(this.teeContext, session) : undefined,
          )
          .catch(() => undefined);
      });
      const outputs = operation.outputs();
      if (reply.result !== TeeResult.SUCCESS)
        throw new TeecError(reply.result, reply.origin, withTrouble(doing(), withRollback(reply), operation), {
          outputs,
          sizes: operation.sizes(),
          panic: reply.panic,
        });
      return new this.sessionClass(
        application,
        reply.session,
        this.device,
        this.teeContext,
        this.temporaryMemory,
        this.limits,
      );
    } finally {
      await call.release(() => operation.release());
    }
  }

  /**
   * TEEC_AllocateSharedMemory.
   * @param size bytes, 0..2^30.
   * @throws TeecError BAD_PARAMETERS if it is not a size, OUT_OF_MEMORY if it is more than is free or possible.
   */
  async allocateSharedMemory(size: number): Promise<SharedMemory> {
    const shm = await this.device.allocateShm(this.teeContext, size === 0 ? sizeForNone : size);
    return new SharedMemory(shm.bytes.subarray(0, size), shm, undefined, () =>
      this.device.freeShm(this.teeContext, shm),
    );
  }

  /**
   * TEEC_RegisterSharedMemory: share a buffer of the caller.
   * @throws TeecError BAD_PARAMETERS if it is not a Uint8Array, OUT_OF_MEMORY if it is more than is free or possible,
   *   NOT_SUPPORTED if secure world shares only its reserved memory.
   */
  async registerSharedMemory(buffer: Uint8Array): Promise<SharedMemory> {
    if (!(buffer instanceof Uint8Array)) throw badParameters('registering shared memory: expected a Uint8Array');
    if (buffer.length > 0 && this.device.sharesBuffers) {
      const shm = await this.device.registerBuffer(this.teeContext, buffer);
      return new SharedMemory(buffer, shm, undefined, () => this.device.freeShm(this.teeContext, shm));
    }
    const { buffer: registered, remove } = await this.registeredBuffers.add(buffer);
    return new SharedMemory(buffer, registered.shm, registered, remove);
  }

  /**
   * TEEC_RegisterSharedMemoryFileDescriptor: share the memory of a file descriptor, such as a dma-buf from a heap of
   * protected memory. `bytes` is empty, because this process cannot access the memory.
   * @throws TeecError NOT_SUPPORTED if the driver is not the kernel's; BAD_PARAMETERS from a kernel without
   *   TEE_IOC_SHM_REGISTER_FD, or for another kind of descriptor.
   */
  async registerSharedMemoryDescriptor(descriptor: number): Promise<SharedMemory> {
    const shm = await this.device.registerDescriptor(this.teeContext, descriptor);
    return new SharedMemory(nothing, shm, undefined, () => this.device.freeShm(this.teeContext, shm), shm.size);
  }

  /**
   * TEEC_FinalizeContext: waits for the calls in flight, closes the sessions, releases the memory. It waits only 500 ms
   * for overdue calls; their memory is released when they return.
   */
  close(): Promise<void> {
    return endBesides(this.limits, this.closing());
  }

  /**
   * End the client like a killed process: calls in flight are cancelled, and their requests to the supplicant are
   * withdrawn. Each session closes when its calls have returned; then the memory is released. Calls in flight still
   * settle. A `close` that is already waiting is sped up.
   * @throws TeecError TIMEOUT from COMMS if a call does not return after its cancellation. The rest of the work is then
   *   done when it returns.
   */
  kill(): Promise<void> {
    this.device.killContext(this.teeContext);
    if (this.limits.overdue > 0) return this.close();
    return endWithin(this.limits, this.closing(), `closing ${this.teeContext.label}`);
  }

  private closing(): Promise<void> {
    this.closed ??= this.device.closeContext(this.teeContext).finally(() => this.onEnd());
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** TEEC_Context: a client in user space. */
export class Context extends AnyContext<Session, UserLogin> {
  /** Made by `Tee.openContext`. */
  constructor(device: TeeDevice, label: string, identity: ClientIdentity, limits: CallLimits, onEnd: () => void) {
    super(device, label, false, identity, limits, { login: 'public' }, Session, onEnd);
  }
}

/** A client inside the kernel: a driver that uses a trusted application, as with Linux's tee_client_*() functions. */
export class KernelContext extends AnyContext<KernelSession, Login> {
  /** Made by `Tee.openKernelContext`. */
  constructor(device: TeeDevice, label: string, limits: CallLimits, onEnd: () => void) {
    super(device, label, true, { uid: 0, gid: 0, groups: [] }, limits, { login: 'ree-kernel' }, KernelSession, onEnd);
  }
}

function uuidParameter(text: string): string {
  try {
    return parseUuid(text);
  } catch (error) {
    throw badParameters(error instanceof Error ? error.message : String(error));
  }
}

/**
 * OP-TEE's own answer about the version of an image. It keeps the highest one in its storage, so nothing that can be
 * seen in the image tells it.
 */
function withRollback<Reply extends TeeReply>(reply: Reply): Reply {
  if (reply.result !== TeeResult.ERROR_ACCESS_CONFLICT || reply.origin !== TeeOrigin.TEE) return reply;
  const why =
    'this OP-TEE has loaded a higher version of the application before (CFG_TA_VERSION), which its storage remembers';
  return { ...reply, trouble: [reply.trouble, why].filter((each) => each !== undefined).join('; ') };
}
