import type { TaPanicReport } from '../protocol/secure-world.js';
import type { TeeOrigin } from '../protocol/tee-result.js';
import type { Uuid } from '../protocol/uuid.js';
import type { ClientLogin, Login } from './login.js';
import type { TeeContext } from './tee-context.js';
import type { TeeParam } from './tee-param.js';
import type { TeeShm } from './tee-shm.js';

/** What a TEE can do, as a client sees it: the answer to TEE_IOC_VERSION (uapi linux/tee.h). */
export interface TeeVersion {
  /** TEE_IMPL_ID_OPTEE is 1. */
  readonly implementationId: number;
  /** TEE_GEN_CAP_REG_MEM: client memory can be registered. */
  readonly registeredMemory: boolean;
  /** TEE_GEN_CAP_MEMREF_NULL: a null memory reference can be told from an empty one. */
  readonly memrefNull: boolean;
}

/** A result of the TEE: GlobalPlatform's code and origin. */
export interface TeeReply {
  readonly result: number;
  readonly origin: TeeOrigin;
  /** What went wrong on the way, for people: no supplicant was there, say. */
  readonly trouble?: string;
  /** How the application died that is dead. */
  readonly panic?: TaPanicReport;
}

export interface OpenSessionRequest {
  readonly uuid: Uuid;
  readonly client: ClientLogin;
  /** What `client` was computed from: for a kernel that computes it itself. */
  readonly login: Login;
  /** Names the request in a later `cancelRequest`; 0 when it will not be cancelled. */
  readonly cancelId: number;
}

export interface InvokeRequest {
  readonly session: number;
  readonly command: number;
  /** Names the request in a later `cancelRequest`; 0 when it will not be cancelled. */
  readonly cancelId: number;
}

/**
 * What the TEE subsystem asks of a driver: Linux's `struct tee_driver_ops`. A request that reached the TEE resolves
 * with its reply, whatever that is; one that the driver refuses, or whose answer cannot be used, rejects with a
 * TeecError of origin COMMS. Parameters are updated in place.
 */
export interface TeeDriver {
  readonly version: TeeVersion;

  /** A client context begins. */
  open(context: TeeContext): void;
  /** Its client died: cancel what it asked for, withdraw what that waits for. Its release follows. */
  abandon(context: TeeContext): void;
  /** It ends: wait for its calls, close its sessions. */
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
   * Keep one thread context of secure world in reserve for this session (and all other system sessions, depending on
   * the discipline). False when that cannot be had: the caller may go on, at the risk of the deadlock it is meant to
   * prevent.
   */
  systemSession(context: TeeContext, session: number): boolean;

  /** Memory for parameters, contiguous. @throws TeecError OUT_OF_MEMORY */
  allocateShm(context: TeeContext, size: number): Promise<TeeShm>;
  /** Memory that stands for a client's own buffer: as scattered as a process's pages. @throws TeecError */
  registerShm(context: TeeContext, size: number): Promise<TeeShm>;
  /** A client's own buffer, where it lies: of a driver that can share it so. @throws TeecError */
  registerBuffer?(context: TeeContext, bytes: Uint8Array): Promise<TeeShm>;
  /** The memory that a descriptor of the kernel's stands for. @throws TeecError */
  registerDescriptor?(context: TeeContext, descriptor: number): Promise<TeeShm>;

  /** The device goes: leave secure world in an orderly state. */
  remove(): Promise<void>;
}
