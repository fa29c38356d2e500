import type { TaPanicReport } from '../protocol/secure-world.js';
import type { TeeOrigin } from '../protocol/tee-result.js';
import type { Uuid } from '../protocol/uuid.js';
import type { ClientLogin, Login } from './login.js';
import type { TeeContext } from './tee-context.js';
import type { TeeParam } from './tee-param.js';
import type { TeeShm } from './tee-shm.js';

/** The capabilities of a TEE for clients: the answer to TEE_IOC_VERSION (uapi linux/tee.h). */
export interface TeeVersion {
  /** TEE_IMPL_ID_OPTEE is 1. */
  readonly implementationId: number;
  /** TEE_GEN_CAP_REG_MEM: client memory can be registered. */
  readonly registeredMemory: boolean;
  /** TEE_GEN_CAP_MEMREF_NULL: a null memory reference differs from an empty one. */
  readonly memrefNull: boolean;
}

/** A result of the TEE: GlobalPlatform's result code and origin. */
export interface TeeReply {
  readonly result: number;
  readonly origin: TeeOrigin;
  /** What went wrong outside the TEE, as text for messages: no supplicant was running, for example. */
  readonly trouble?: string;
  /** With TARGET_DEAD: the report of the application's panic. */
  readonly panic?: TaPanicReport;
}

export interface OpenSessionRequest {
  readonly uuid: Uuid;
  readonly client: ClientLogin;
  /** The login from which `client` was computed, for a kernel that computes it itself. */
  readonly login: Login;
  /** Identifies the request in `cancelRequest`; 0 if it will not be cancelled. */
  readonly cancelId: number;
}

export interface InvokeRequest {
  readonly session: number;
  readonly command: number;
  /** Identifies the request in `cancelRequest`; 0 if it will not be cancelled. */
  readonly cancelId: number;
}

/**
 * The operations of a driver under the TEE subsystem: Linux's `struct tee_driver_ops`. A request that reached the TEE
 * resolves with the TEE's reply, whatever its result. A request that the driver refuses, or whose answer is unusable,
 * rejects with a TeecError of origin COMMS. Parameters are updated in place.
 */
export interface TeeDriver {
  readonly version: TeeVersion;

  /** A client opened a context. */
  open(context: TeeContext): void;
  /** The client of the context died: cancel its requests, withdraw what they wait for. `release` follows. */
  abandon(context: TeeContext): void;
  /** The context is closed: wait for its calls, close its sessions. */
  release(context: TeeContext): Promise<void>;

  openSession(
    context: TeeContext,
    request: OpenSessionRequest,
    params: readonly TeeParam[],
  ): Promise<TeeReply & { readonly session: number }>;
  invoke(context: TeeContext, request: InvokeRequest, params: readonly TeeParam[]): Promise<TeeReply>;
  cancelRequest(context: TeeContext, session: number, cancelId: number): Promise<void>;
  closeSession(context: TeeContext, session: number): Promise<void>;

  /**
   * Keep one thread context of secure world in reserve for this session (and, depending on the discipline, for all
   * other system sessions). False if that is not possible: the caller may continue, but can meet the deadlock that a
   * system session prevents.
   */
  systemSession(context: TeeContext, session: number): boolean;

  /** Contiguous memory for parameters. @throws TeecError OUT_OF_MEMORY */
  allocateShm(context: TeeContext, size: number): Promise<TeeShm>;
  /** Memory that stands for a client's own buffer, scattered like the pages of a process. @throws TeecError */
  registerShm(context: TeeContext, size: number): Promise<TeeShm>;
  /** A client's own buffer, shared in place; undefined if the driver cannot do that. @throws TeecError */
  registerBuffer?(context: TeeContext, bytes: Uint8Array): Promise<TeeShm>;
  /** The memory of a kernel's file descriptor; undefined if there is no kernel. @throws TeecError */
  registerDescriptor?(context: TeeContext, descriptor: number): Promise<TeeShm>;

  /** The device is removed: leave secure world in an orderly state. */
  remove(): Promise<void>;
}
