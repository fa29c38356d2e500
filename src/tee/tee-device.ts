import { TeeResult } from '../protocol/tee-result.js';
import type { Uuid } from '../protocol/uuid.js';
import { show } from '../show.js';
import { eachStep } from './each-step.js';
import { type ClientIdentity, clientLogin, type Login } from './login.js';
import { TeeContext } from './tee-context.js';
import type { InvokeRequest, TeeDriver, TeeReply, TeeVersion } from './tee-driver.js';
import type { TeeMemrefParam, TeeParam } from './tee-param.js';
import type { TeeShm } from './tee-shm.js';
import { badParameters, commsError } from './teec-error.js';

/** The maximum number of parameters of an open session (TEEC_CONFIG_PAYLOAD_REF_COUNT, TEE Client API section 4.2). */
const maxOpenSessionParams = 4;
/** The same for an invoke (Linux's MAX_ARG_PARAM_COUNT). A TEE accepts fewer, and returns the error itself. */
const maxInvokeParams = 6;

/** The largest shared memory a client may ask for, in bytes (TEEC_CONFIG_SHAREDMEM_MAX_SIZE is at least 512 KiB). */
export const maxSharedMemorySize = 0x4000_0000;

/**
 * The TEE device as clients see it: Linux's tee_core.c. It checks a client's input before a driver sees it, and
 * computes the client's identity.
 */
export class TeeDevice {
  /** Called when a session has opened. */
  onSession: ((application: Uuid) => void) | undefined;

  constructor(private readonly driver: TeeDriver) {}

  get version(): TeeVersion {
    return this.driver.version;
  }

  /** @param label the name of this client in traces. */
  openContext(label: string, kernel: boolean, identity: ClientIdentity): TeeContext {
    const context = new TeeContext(label, kernel, identity);
    this.driver.open(context);
    return context;
  }

  /** The client died: its calls are cancelled, and their requests to the normal world are withdrawn. */
  killContext(context: TeeContext): void {
    context.killed = true;
    this.driver.abandon(context);
  }

  /** Waits for the context's calls, closes its sessions, releases its memory. */
  async closeContext(context: TeeContext): Promise<void> {
    const shm = [...context.shm];
    context.shm.clear();
    context.closed = true;
    await eachStep([() => this.driver.release(context), ...shm.map((each) => () => each.put())]);
  }

  /** @param caller the identity, if it is not that of the context; and the cancellation id of the request. */
  async openSession(
    context: TeeContext,
    uuid: Uuid,
    login: Login,
    params: readonly TeeParam[],
    { identity = context.identity, cancelId = 0 }: { identity?: ClientIdentity; cancelId?: number } = {},
  ): Promise<TeeReply & { readonly session: number }> {
    const client = clientLogin(login, identity, context.kernel);
    const memory = this.hold(context, params, maxOpenSessionParams);
    try {
      const reply = await this.driver.openSession(context, { uuid, client, login, cancelId }, params);
      if (reply.result === TeeResult.SUCCESS) this.onSession?.(uuid);
      return reply;
    } finally {
      await putAll(memory);
    }
  }

  invoke(context: TeeContext, request: InvokeRequest, params: readonly TeeParam[]): Promise<TeeReply> {
    const memory = this.hold(context, params, maxInvokeParams);
    const reply = this.driver.invoke(context, request, params);
    return memory === noMemory ? reply : reply.finally(() => putAll(memory));
  }

  cancelRequest(context: TeeContext, session: number, cancelId: number): Promise<void> {
    return this.driver.cancelRequest(context, session, cancelId);
  }

  closeSession(context: TeeContext, session: number): Promise<void> {
    return this.driver.closeSession(context, session);
  }

  /** @throws TeecError ACCESS_DENIED for a client in user space: only kernel clients can have system sessions. */
  systemSession(context: TeeContext, session: number): boolean {
    if (!context.kernel)
      throw commsError(TeeResult.ERROR_ACCESS_DENIED, 'requesting a system session: only kernel clients may have one');
    return this.driver.systemSession(context, session);
  }

  /** Contiguous shared memory. @param size bytes, 1..`maxSharedMemorySize` */
  async allocateShm(context: TeeContext, size: number): Promise<TeeShm> {
    checkSize(size);
    return this.own(context, await this.driver.allocateShm(context, size));
  }

  /** Shared memory that stands for a client's own buffer. @param size bytes, 1..`maxSharedMemorySize` */
  async registerShm(context: TeeContext, size: number): Promise<TeeShm> {
    checkSize(size);
    return this.own(context, await this.driver.registerShm(context, size));
  }

  /** Whether a client's buffer can be shared in place, without a copy. */
  get sharesBuffers(): boolean {
    return this.driver.registerBuffer !== undefined && this.version.registeredMemory;
  }

  /** Shared memory that is a client's own buffer. Needs `sharesBuffers`. */
  async registerBuffer(context: TeeContext, bytes: Uint8Array): Promise<TeeShm> {
    checkSize(bytes.length);
    if (this.driver.registerBuffer === undefined)
      throw commsError(TeeResult.ERROR_NOT_SUPPORTED, 'registering a buffer in place: the driver copies it');
    return this.own(context, await this.driver.registerBuffer(context, bytes));
  }

  /**
   * Shared memory of a kernel's file descriptor. @throws TeecError NOT_SUPPORTED if the driver has no kernel below it.
   */
  async registerDescriptor(context: TeeContext, descriptor: number): Promise<TeeShm> {
    if (!(Number.isInteger(descriptor) && descriptor >= 0))
      throw badParameters(`registering the memory of descriptor ${show(descriptor)}; allowed: integers from 0`);
    if (this.driver.registerDescriptor === undefined)
      throw commsError(
        TeeResult.ERROR_NOT_SUPPORTED,
        'registering the memory of a descriptor: only the kernel can access it (world "linux")',
      );
    return this.own(context, await this.driver.registerDescriptor(context, descriptor));
  }

  /** Free a client's memory. Calls in progress keep it until they end. */
  async freeShm(context: TeeContext, shm: TeeShm): Promise<void> {
    // Only if the context still has it: closing the context releases all of its memory.
    if (context.shm.delete(shm)) await shm.put();
  }

  private async own(context: TeeContext, shm: TeeShm): Promise<TeeShm> {
    if (context.closed) {
      await shm.put();
      throw commsError(TeeResult.ERROR_BAD_STATE, `allocating shared memory: context ${context.label} is closed`);
    }
    context.shm.add(shm);
    return shm;
  }

  /** Check the parameters, and take references to their memory for the duration of the call. */
  private hold(context: TeeContext, params: readonly TeeParam[], most: number): readonly TeeShm[] {
    if (params.length > most) throw badParameters(`${params.length} parameters, at most ${most} are allowed`);
    let memory: TeeShm[] | undefined;
    for (let index = 0; index < params.length; index++) {
      const param = params[index];
      if (param?.type !== 'memref') continue;
      this.checkMemref(context, param, index);
      if (param.shm !== null) {
        memory ??= [];
        memory.push(param.shm);
      }
    }
    if (memory === undefined) return noMemory;
    for (const shm of memory) shm.get();
    return memory;
  }

  private checkMemref(context: TeeContext, { shm, offset, size }: TeeMemrefParam, index: number): void {
    if (shm === null) {
      if (!this.version.memrefNull)
        throw badParameters(`parameter ${index}: this TEE does not support null memory references`);
    } else if (!context.shm.has(shm)) {
      throw badParameters(`parameter ${index}: its shared memory does not belong to this context, or is freed`);
    } else if (
      !(Number.isInteger(offset) && Number.isInteger(size) && offset >= 0 && size >= 0) ||
      offset + size > shm.size
    ) {
      throw badParameters(`parameter ${index}: offset ${offset}, ${size} bytes, is outside its ${shm.size} bytes`);
    }
  }
}

const noMemory: readonly TeeShm[] = [];

/**
 * Drop the references of a finished call. If the client freed the memory during the call, it is unregistered here, and
 * the call waits for that. A failure (secure world refuses, or is dead) does not change the result of the call.
 */
async function putAll(memory: readonly TeeShm[]): Promise<void> {
  await Promise.allSettled(memory.map((shm) => shm.put()));
}

/**
 * Check the size of memory to be shared.
 * @throws TeecError BAD_PARAMETERS if it is not a size, OUT_OF_MEMORY if it exceeds `maxSharedMemorySize`.
 */
function checkSize(size: number): void {
  if (typeof size === 'number' && size > maxSharedMemorySize)
    throw commsError(
      TeeResult.ERROR_OUT_OF_MEMORY,
      `shared memory of ${size} bytes, at most ${maxSharedMemorySize} are allowed`,
    );
  if (!(Number.isInteger(size) && size >= 1))
    throw badParameters(`shared memory of ${show(size)} bytes; allowed: integers from 1 to ${maxSharedMemorySize}`);
}
