/** normalworld: the OP-TEE driver of Linux as a library. */
export * from './client/index.js';
export { type Clock, machineClock } from './clock/clock.js';
export { type LinuxSupplicantOptions, openLinuxSupplicant } from './linux/open-supplicant.js';
export { missingForQemu } from './missing-for-qemu.js';
export { type OpenTeeOptions, openTee } from './open-tee.js';
export { type OpenWorldOptions, openWorld } from './open-world.js';
export type { CallQueue, DisciplineName, QueueState } from './optee/call-queue/call-queue.js';
export { createCallQueue, DISCIPLINES } from './optee/call-queue/disciplines.js';
export type { I2cAdapter } from './optee/rpc/i2c-rpc.js';
export type { SecureWorldInfo } from './optee/smc/smc-probe.js';
export { type Conduit, ConduitError, type SmcRegisters } from './protocol/conduit.js';
export { RpcCommand } from './protocol/optee-rpc-command.js';
export type { PhysicalMemory } from './protocol/physical-memory.js';
export type { SecureWorld, TaCallStackEntry, TaPanicReport } from './protocol/secure-world.js';
export { TeeOrigin, TeeResult } from './protocol/tee-result.js';
export { type ServeOptions, TeeServer } from './serve/tee-server.js';
export { type SupplicantSettings, startSupplicant } from './start-supplicant.js';
export { FolderFileSystem } from './supplicant/node/folder-file-system.js';
export type { PluginReply, SupplicantPlugin } from './supplicant/plugin-service.js';
export type { ProfileFiles } from './supplicant/profile-service.js';
export type { ReeFile, ReeFileSystem } from './supplicant/ree-file-system.js';
export type { ReeSocket, ReeSockets, SocketAddress } from './supplicant/socket-service.js';
export type { Serving, SupplicantService } from './supplicant/supplicant-service.js';
export type { TaStore } from './supplicant/ta-store.js';
export type { TimedTraceEvent, TraceEvent } from './trace/event.js';
export { Trace } from './trace/trace.js';
export type { ConsoleLine, ParsedLine } from './worlds/qemu/console-line.js';
export type { QemuWorldOptions } from './worlds/qemu/qemu-options.js';
export {
  type PseudoTa,
  type TaCall,
  TeeError,
  type TrustedApplication,
  trustedApplication,
  type UserTa,
} from './worlds/simulated/index.js';
