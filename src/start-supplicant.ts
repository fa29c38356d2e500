import type { Tee } from './client/tee.js';
import { type OptionNames, requireKnownOptions } from './known-options.js';
import { RpcCommand } from './protocol/optee-rpc-command.js';
import type { RpmbDevice } from './rpmb/rpmb-device.js';
import { fsService } from './supplicant/fs-service.js';
import { HandleNumbers } from './supplicant/handle-table.js';
import { MemoryFileSystem } from './supplicant/memory-file-system.js';
import { pluginService, type SupplicantPlugin } from './supplicant/plugin-service.js';
import { type ProfileFiles, profileService } from './supplicant/profile-service.js';
import type { ReeFileSystem } from './supplicant/ree-file-system.js';
import { rpmbService } from './supplicant/rpmb-service.js';
import { type ReeSockets, socketService } from './supplicant/socket-service.js';
import { Supplicant, type SupplicantDevice } from './supplicant/supplicant.js';
import type { SupplicantService } from './supplicant/supplicant-service.js';
import { loadTaService, type TaStore } from './supplicant/ta-store.js';
import type { TeeShm } from './tee/tee-shm.js';
import type { TeecError } from './tee/teec-error.js';

export interface SupplicantSettings {
  /** Where images of trusted applications come from, asked in order. */
  readonly taStores?: readonly TaStore[];
  /** What secure storage writes to; memory that goes with the supplicant when left out. */
  readonly fileSystem?: ReeFileSystem;
  /**
   * What trusted applications reach the network by. Without it, or with false, they have none. `openTee` gives this
   * machine's network when it is left out: a TA, and so a client of it, then reaches whatever this machine reaches.
   */
  readonly sockets?: ReeSockets | false;
  /** Plugins that trusted applications can call. */
  readonly plugins?: readonly SupplicantPlugin[];
  /** RPMB devices by number, for a secure world that asks the supplicant for them. */
  readonly rpmb?: readonly RpmbDevice[];
  /** Where profiles of trusted applications go (GPROF, FTRACE); NOT_SUPPORTED when left out. */
  readonly profiles?: ProfileFiles;
  /** Further services, or others in place of the usual, by `RpcCommand`. */
  readonly services?: ReadonlyMap<number, SupplicantService>;
  /** Stands between the supplicant and the driver, for faults. */
  readonly behind?: (device: SupplicantDevice) => SupplicantDevice;
  /**
   * Something failed: the machine, or code behind the supplicant, which throws or answers what it must not. The request has
   * got a TEE result already and everything else goes on. The error names the request, and its `cause` is what was
   * thrown. Left out, each failure is a warning of the process (`process.emitWarning`), the same one once.
   */
  readonly onError?: (error: TeecError) => void;
}

const settingNames: OptionNames<SupplicantSettings> = {
  taStores: true,
  fileSystem: true,
  sockets: true,
  plugins: true,
  rpmb: true,
  profiles: true,
  services: true,
  behind: true,
  onError: true,
};

/** @throws TypeError naming a setting that is none. */
export function checkSupplicantSettings(settings: SupplicantSettings): void {
  requireKnownOptions('the supplicant', settings, settingNames);
}

/** What supplicants of a TEE have given numbers to. */
const numbersOf = new WeakMap<Tee, HandleNumbers>();

/**
 * Start a supplicant: for a TEE that was opened without one, or whose supplicant has left. Disposing of it is its
 * leaving; it goes with the TEE at the latest. What it had open is closed then.
 * @throws TeecError BUSY when the TEE has a supplicant, or another TEE uses the file system; STORAGE_NOT_AVAILABLE when the
 *   file system cannot be used.
 * @throws TypeError for a setting that there is none of, or when a plugin's UUID is none. @throws RangeError when two plugins have the same.
 */
export function startSupplicant(tee: Tee, settings: SupplicantSettings = {}): Supplicant {
  checkSupplicantSettings(settings);
  const { queue, allocate } = tee.supplicantDevice;
  const numbers = numbersOf.get(tee) ?? new HandleNumbers();
  numbersOf.set(tee, numbers);
  let forget = () => {};
  const place = {
    ...{ queue, allocate, numbers, owner: tee },
    onFailure: ({ message }: TeecError) => {
      const { trace } = tee;
      if (trace.on) trace.emit({ type: 'mark', text: `supplicant: ${message}` });
    },
    onReleased: () => forget(),
  };
  const supplicant = supplicantOn(place, settings);
  forget = tee.adopt(supplicant);
  return supplicant;
}

/** Where a supplicant is to be. */
export interface SupplicantPlace {
  readonly queue: SupplicantDevice;
  /** Memory that secure world can reach. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => TeeShm | Promise<TeeShm>;
  /** What supplicants of this TEE have given numbers to. */
  readonly numbers: HandleNumbers;
  /** Whose files are used: a file system belongs to one owner at a time. */
  readonly owner: object;
  /** Something failed, beside what the settings have for it. */
  readonly onFailure?: (failure: TeecError) => void;
  readonly onReleased?: () => void;
}

/** The same at any place: ours, or that of a driver in the kernel. @throws as `startSupplicant` does. */
export function supplicantOn(place: SupplicantPlace, settings: SupplicantSettings): Supplicant {
  const { queue, allocate, numbers, owner } = place;
  const { sockets, profiles, fileSystem = new MemoryFileSystem() } = settings;
  const services = new Map<number, SupplicantService>([
    [RpcCommand.loadTa, loadTaService(settings.taStores ?? [])],
    [RpcCommand.fs, fsService(fileSystem, numbers)],
    [RpcCommand.plugin, pluginService(settings.plugins ?? [])],
    // Without a device it is ITEM_NOT_FOUND, as tee-supplicant says: OP-TEE goes on without its RPMB.
    [RpcCommand.rpmb, rpmbService(settings.rpmb ?? [])],
    ...(sockets === undefined || sockets === false
      ? []
      : [[RpcCommand.socket, socketService(sockets, numbers)] as const]),
    ...(profiles === undefined
      ? []
      : [
          [RpcCommand.gprof, profileService(RpcCommand.gprof, profiles)] as const,
          [RpcCommand.ftrace, profileService(RpcCommand.ftrace, profiles)] as const,
        ]),
    ...(settings.services ?? []),
  ]);
  const tell = settings.onError ?? warning();
  const endClaim = fileSystem.claim?.(owner);
  try {
    return new Supplicant(settings.behind?.(queue) ?? queue, {
      services,
      allocate,
      onFailure: (failure) => {
        place.onFailure?.(failure);
        try {
          tell(failure);
        } catch (error) {
          // Whoever is told must not break what goes on.
          warn(`onError of a supplicant threw ${error instanceof Error ? error.stack : String(error)}`);
        }
      },
      onReleased: () => {
        endClaim?.();
        place.onReleased?.();
      },
    });
  } catch (error) {
    endClaim?.();
    throw error;
  }
}

/** How many different failures are told before the rest is silent: a full disk fails every write. */
const maxWarnings = 100;

function warning(): (failure: TeecError) => void {
  const told = new Set<string>();
  return (failure) => {
    if (told.has(failure.message) || told.size >= maxWarnings) return;
    told.add(failure.message);
    const { cause } = failure;
    // Where somebody's own code threw is what its author needs; an error of the machine has said all.
    const where = cause instanceof Error && !('errno' in cause) && cause.stack !== undefined ? `\n${cause.stack}` : '';
    warn(`supplicant: ${failure.message}${where}`);
  };
}

function warn(message: string): void {
  const { process } = globalThis as { readonly process?: { emitWarning?(message: string, type: string): void } };
  if (process?.emitWarning === undefined) console.warn(message);
  else process.emitWarning(message, 'NormalworldWarning');
}
