import type { Tee } from './client/tee.js';
import { RpcCommand } from './protocol/optee-rpc-command.js';
import type { RpmbDevice } from './rpmb/rpmb-device.js';
import { fsService } from './supplicant/fs-service.js';
import { MemoryFileSystem } from './supplicant/memory-file-system.js';
import { pluginService, type SupplicantPlugin } from './supplicant/plugin-service.js';
import type { ReeFileSystem } from './supplicant/ree-file-system.js';
import { rpmbService } from './supplicant/rpmb-service.js';
import { type ReeSockets, socketService } from './supplicant/socket-service.js';
import { Supplicant, type SupplicantDevice, type SupplicantService } from './supplicant/supplicant.js';
import { loadTaService, type TaStore } from './supplicant/ta-store.js';

export interface SupplicantSettings {
  /** Where images of trusted applications come from, asked in order. */
  readonly taStores?: readonly TaStore[];
  /** What secure storage writes to; memory that goes with the supplicant when left out. */
  readonly fileSystem?: ReeFileSystem;
  /** What trusted applications reach the network by; without it they have none. */
  readonly sockets?: ReeSockets;
  /** Plugins that trusted applications can call. */
  readonly plugins?: readonly SupplicantPlugin[];
  /** RPMB devices by number, for a secure world that asks the supplicant for them. */
  readonly rpmb?: readonly RpmbDevice[];
  /** Further services, or others in place of the usual, by `RpcCommand`. */
  readonly services?: ReadonlyMap<number, SupplicantService>;
  /** Stands between the supplicant and the driver, for faults. */
  readonly behind?: (device: SupplicantDevice) => SupplicantDevice;
  /** A service failed in a way that is no TEE result. By default the error becomes an uncaught exception. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Start a supplicant: for a TEE that was opened without one, or whose supplicant has left. Disposing of it is its
 * leaving; it goes with the TEE at the latest.
 * @throws TeecError BUSY when the TEE has a supplicant.
 */
export function startSupplicant(tee: Tee, settings: SupplicantSettings = {}): Supplicant {
  const { queue, allocate } = tee.supplicantDevice;
  const supplicant = new Supplicant(settings.behind?.(queue) ?? queue, {
    services: new Map<number, SupplicantService>([
      [RpcCommand.loadTa, loadTaService(settings.taStores ?? [])],
      [RpcCommand.fs, fsService(settings.fileSystem ?? new MemoryFileSystem())],
      [RpcCommand.plugin, pluginService(settings.plugins ?? [])],
      ...(settings.sockets === undefined ? [] : [[RpcCommand.socket, socketService(settings.sockets)] as const]),
      ...(settings.rpmb === undefined ? [] : [[RpcCommand.rpmb, rpmbService(settings.rpmb)] as const]),
      ...(settings.services ?? []),
    ]),
    allocate,
    onError: settings.onError ?? throwUncaught,
  });
  tee.adopt(supplicant);
  return supplicant;
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
