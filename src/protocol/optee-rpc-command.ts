/**
 * Requests of secure world to the normal world: the `cmd` of an RPC message, and the sub-commands.
 * Source of every value: optee_rpc_cmd.h of OP-TEE/optee_os.
 */

/** OPTEE_RPC_CMD_* */
export const RpcCommand = {
  /** value[0].a-b UUID in, memref[1] image out; a null memref requests the size. */
  loadTa: 0,
  rpmb: 1,
  fs: 2,
  /** value[0] out: a seconds, b nanoseconds since 1970-01-01 UTC. */
  getTime: 3,
  /** value[0] in: a `RpcNotification`, b the notification value, c timeout in ms (0: none). */
  notification: 4,
  /** value[0].a in: milliseconds. */
  suspend: 5,
  /** value[0] in: a `RpcShmType`, b size, c alignment. Out: memref[0]. */
  shmAlloc: 6,
  /** value[0] in: a `RpcShmType`, b cookie. */
  shmFree: 7,
  gprof: 9,
  socket: 10,
  ftrace: 11,
  plugin: 12,
  /** value[0] and value[1] in: see `RpcI2c`; memref[2] inout; value[3].a out: octets transferred. */
  i2cTransfer: 21,
  rpmbProbeReset: 22,
  rpmbProbeNext: 23,
  rpmbFrames: 24,
} as const;

/** OPTEE_RPC_NOTIFICATION_* */
export const RpcNotification = { wait: 0, send: 1 } as const;

/** OPTEE_RPC_SHM_TYPE_* */
export const RpcShmType = {
  /** Shared with the supplicant. */
  appl: 0,
  /** Shared with the kernel only. */
  kernel: 1,
  global: 2,
} as const;

export type RpcShmType = (typeof RpcShmType)[keyof typeof RpcShmType];

/** OPTEE_RPC_FS_*, value[0].a of an `fs` request. */
export const RpcFs = {
  open: 0,
  create: 1,
  close: 2,
  read: 3,
  write: 4,
  truncate: 5,
  remove: 6,
  rename: 7,
  opendir: 8,
  closedir: 9,
  readdir: 10,
} as const;

/** OPTEE_RPC_SOCKET_*, value[0].a of a `socket` request; b is the TA's instance, c the handle. */
export const RpcSocket = {
  /** value[1] in: a port, b protocol, c IP version; memref[2] in: host; value[3].a out: handle. */
  open: 0,
  close: 1,
  closeAll: 2,
  /** memref[1] in; value[2].a in: timeout, b out: bytes sent. */
  send: 3,
  /** memref[1] out; value[2].a in: timeout. */
  receive: 4,
  /** memref[1] inout; value[2].a in: command. */
  ioctl: 5,
} as const;

/** OPTEE_RPC_SOCKET_TIMEOUT_BLOCKING; any other timeout is in milliseconds. */
export const rpcSocketForEver = 0xffff_ffff;

/** OPTEE_RPC_I2C_TRANSFER_*, value[0].a of an `i2cTransfer` request; b is the bus, c the chip. */
export const RpcI2c = { read: 0, write: 1 } as const;

/** OPTEE_RPC_I2C_FLAGS_TEN_BIT, in value[1].a. */
export const rpcI2cTenBit = 1;

/** OPTEE_RPC_SUPP_PLUGIN_INVOKE, value[0].a of a `plugin` request. */
export const rpcPluginInvoke = 0;

/** The name of an RPC command for messages: `FS`, `NOTIFICATION`, `command 99`. */
export function rpcCommandName(command: number): string {
  return names.get(command) ?? `command ${command}`;
}

const names = new Map<number, string>(
  Object.entries(RpcCommand).map(([name, id]) => [id, name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()]),
);
