/**
 * The ABI of the TEE's devices: numbers and layouts of Linux's uapi header linux/tee.h. All words are little-endian;
 * offsets and sizes are bytes.
 */

/** struct tee_ioctl_version_data: implementation id, implementation capabilities, general capabilities. */
export const versionSize = 12;
export const implementationOptee = 1;
export const opteeCapTrustZone = 1;
export const GeneralCapability = { globalPlatform: 1, privileged: 2, registeredMemory: 4, memrefNull: 8 } as const;

/** struct tee_ioctl_param: attr, a, b, c, of 8 bytes each. */
export const paramSize = 32;
/** TEE_IOCTL_PARAM_ATTR_TYPE_*: the first value type and the first memref type; `paramDirections` gives the offsets. */
export const ParamAttr = { none: 0, valueInput: 1, memrefInput: 5 } as const;
/** TEE_IOCTL_PARAM_ATTR_META: the parameter describes the request and is not passed to the TA. */
export const paramAttrMeta = 0x100;
/** The order of attributes from `valueInput` and from `memrefInput` on. */
export const paramDirections = ['input', 'output', 'inout'] as const;
/** TEE_MEMREF_NULL: the id of a null memory reference. */
export const memrefNullId = 0xffff_ffff_ffff_ffffn;

/** struct tee_ioctl_open_session_arg; the number of parameters is the last word before the parameters. */
export const OpenSessionArg = {
  ...{ uuid: 0, clientUuid: 16, clientLogin: 32, cancelId: 36, session: 40, result: 44, origin: 48, head: 56 },
} as const;
/** struct tee_ioctl_invoke_arg, likewise. */
export const InvokeArg = { command: 0, session: 4, cancelId: 8, result: 12, origin: 16, head: 24 } as const;
/** Offset of the parameter count in an argument whose parameters begin at `head`. */
export const paramCountAt = (head: number): number => head - 4;

/** struct tee_ioctl_cancel_arg */
export const CancelArg = { cancelId: 0, session: 4, size: 8 } as const;
/** struct tee_ioctl_close_session_arg */
export const closeSessionArgSize = 4;
/** struct tee_ioctl_shm_alloc_data */
export const ShmAllocArg = { length: 0, flags: 8, id: 12, size: 16 } as const;
/** struct tee_ioctl_shm_register_data */
export const ShmRegisterArg = { address: 0, length: 8, flags: 16, id: 20, size: 24 } as const;
/** struct tee_ioctl_shm_register_fd_data */
export const ShmRegisterFdArg = { fd: 0, length: 8, flags: 16, id: 20, size: 24 } as const;
/** struct tee_iocl_supp_recv_arg and tee_iocl_supp_send_arg: a word, the number of parameters, the parameters. */
export const SupplicantArg = { word: 0, count: 4, head: 8 } as const;

/** TEE_MAX_ARG_SIZE: the maximum size of an argument. */
export const maxArgSize = 4096;

/** ioctl numbers of the TEE, relative to TEE_IOC_BASE (0). */
export const TeeIoctl = {
  version: 0,
  shmAlloc: 1,
  openSession: 2,
  invoke: 3,
  cancel: 4,
  closeSession: 5,
  supplicantReceive: 6,
  supplicantSend: 7,
  shmRegisterFd: 8,
  shmRegister: 9,
} as const;

const magic = 0xa4;
const read = 2;
const write = 1;
/** asm-generic/ioctl.h */
const ioctl = (direction: number, number: number, size: number): number =>
  direction * 2 ** 30 + (size << 16) + (magic << 8) + number;
/** struct tee_ioctl_buf_data: pointer to and length of the argument. */
export const bufDataSize = 16;

/** The request numbers of ioctl(2). */
export const TeeIoctlRequest = {
  version: ioctl(read, TeeIoctl.version, versionSize),
  shmAlloc: ioctl(read | write, TeeIoctl.shmAlloc, ShmAllocArg.size),
  openSession: ioctl(read, TeeIoctl.openSession, bufDataSize),
  invoke: ioctl(read, TeeIoctl.invoke, bufDataSize),
  cancel: ioctl(read, TeeIoctl.cancel, CancelArg.size),
  closeSession: ioctl(read, TeeIoctl.closeSession, closeSessionArgSize),
  supplicantReceive: ioctl(read, TeeIoctl.supplicantReceive, bufDataSize),
  supplicantSend: ioctl(read, TeeIoctl.supplicantSend, bufDataSize),
  shmRegisterFd: ioctl(read | write, TeeIoctl.shmRegisterFd, ShmRegisterFdArg.size),
  shmRegister: ioctl(read | write, TeeIoctl.shmRegister, ShmRegisterArg.size),
} as const;
