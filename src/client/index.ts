/** The TEE Client API: the interface for programs that use trusted applications. */

export type { CallsInProgress, UnfinishedCall, WaitingCall } from '../optee/unfinished-calls.js';
export type { ClientIdentity, Login } from '../tee/login.js';
export { TeecError } from '../tee/teec-error.js';
export { Context, KernelContext, type OpenSessionOptions, type UserLogin } from './context.js';
export type { DeviceWatch, WatchDevicesOptions } from './device-watch.js';
export type { TeeDeviceDescription } from './devices.js';
export type { RpmbRouting } from './driver-of-tee.js';
export { memrefSizes } from './memref-sizes.js';
export {
  memref,
  none,
  type Parameter,
  type ParameterOutput,
  type ParameterOutputs,
  type Parameters,
  type Part,
  temporary,
  type Value,
  value,
} from './parameters.js';
export { type InvokeOptions, KernelSession, Session } from './session.js';
export { SharedMemory } from './shared-memory.js';
export { type CloseOptions, type ContextOptions, Tee } from './tee.js';
