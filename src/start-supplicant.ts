import type { Tee } from './client/tee.js';
import { type OptionNames, requireFunction, requireKnownOptions, requireMethods } from './known-options.js';
import { RpcCommand } from './protocol/optee-rpc-command.js';
import { checkRpmbDevices, type RpmbDevice } from './rpmb/rpmb-device.js';
import { show } from './show.js';
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
import { warn } from './warn.js';

export interface SupplicantSettings {
  /** Sources of images of trusted applications, asked in order. */
  readonly taStores?: readonly TaStore[];
  /** The files of secure storage. Default: in memory, lost with the supplicant. */
  readonly fileSystem?: ReeFileSystem;
  /**
   * The network of trusted applications. Default: none, and false: none. `openTee` uses this machine's network as the
   * default; a TA, and through it a client of the TA, can then connect to every host that this machine can reach.
   */
  readonly sockets?: ReeSockets | false;
  /** Plugins that trusted applications can call. */
  readonly plugins?: readonly SupplicantPlugin[];
  /** RPMB devices by number, for a secure world that accesses the RPMB through the supplicant. */
  readonly rpmb?: readonly RpmbDevice[];
  /** Storage for profiles of trusted applications (GPROF, FTRACE). Default: NOT_SUPPORTED. */
  readonly profiles?: ProfileFiles;
  /** Additional services, or replacements of the built-in ones, by `RpcCommand`. */
  readonly services?: ReadonlyMap<number, SupplicantService>;
  /** Puts a layer between the supplicant and the driver, for faults. */
  readonly behind?: (device: SupplicantDevice) => SupplicantDevice;
  /**
   * Called when the machine failed, or code behind the supplicant threw or returned an invalid answer. The request has
   * already been answered with a TEE result, and the supplicant continues. The error names the request; its `cause` is
   * the original error. Default: each different failure is reported once by `process.emitWarning`.
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

/** @throws TypeError naming a setting that is unknown or invalid. */
export function checkSupplicantSettings(settings: SupplicantSettings): void {
  const whose = 'the supplicant';
  requireKnownOptions(whose, settings, settingNames);
  const { taStores, fileSystem, sockets, plugins, rpmb, profiles, services, behind, onError } = settings;
  const list = (name: string, given: readonly object[] | undefined, method: string) => {
    if (given !== undefined && !Array.isArray(given))
      throw new TypeError(`${whose}: ${name} must be an array, not ${typeof given}`);
    given?.forEach((each, index) => {
      requireMethods(whose, `${name}[${index}]`, each, [method]);
    });
  };
  list('taStores', taStores, 'load');
  list('plugins', plugins, 'invoke');
  if (fileSystem !== undefined)
    requireMethods(whose, 'fileSystem', fileSystem, ['open', 'create', 'remove', 'rename', 'list']);
  if (sockets !== undefined && sockets !== false) requireMethods(whose, 'sockets', sockets, ['open']);
  if (rpmb !== undefined) checkRpmbDevices(whose, 'rpmb', rpmb);
  if (profiles !== undefined) requireMethods(whose, 'profiles', profiles, ['append']);
  if (services !== undefined && !(services instanceof Map))
    throw new TypeError(`${whose}: services must be a Map, not ${show(services)}`);
  for (const [command, service] of services ?? [])
    requireFunction(whose, `the service for RPC command ${show(command)}`, service);
  for (const [name, each] of Object.entries({ behind, onError }))
    if (each !== undefined) requireFunction(whose, name, each);
}

/** The handles that the supplicants of a TEE have assigned. */
const numbersOf = new WeakMap<Tee, HandleNumbers>();

/**
 * Start a supplicant, for a TEE that was opened without one or whose supplicant has left. Disposing of it makes it
 * leave and closes its open resources; this also happens when the TEE closes.
 * @throws TeecError BUSY if the TEE has a supplicant, or another TEE uses the file system; STORAGE_NOT_AVAILABLE if the
 *   file system is unusable.
 * @throws TypeError for an unknown setting, or if a plugin's UUID is invalid.
 * @throws RangeError if two plugins have the same UUID.
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

/** The device that a supplicant serves. */
export interface SupplicantPlace {
  readonly queue: SupplicantDevice;
  /** Allocates memory that secure world can access. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => TeeShm | Promise<TeeShm>;
  /** The handles that supplicants of this TEE have assigned. */
  readonly numbers: HandleNumbers;
  /** The owner of the file system, which belongs to one owner at a time. */
  readonly owner: object;
  /** Called for a failure, in addition to the settings' `onError`. */
  readonly onFailure?: (failure: TeecError) => void;
  readonly onReleased?: () => void;
}

/** The same for any device: ours, or that of a kernel's driver. @throws like `startSupplicant`. */
export function supplicantOn(place: SupplicantPlace, settings: SupplicantSettings): Supplicant {
  const { queue, allocate, numbers, owner } = place;
  const { sockets, profiles, fileSystem = new MemoryFileSystem() } = settings;
  const services = new Map<number, SupplicantService>([
    [RpcCommand.loadTa, loadTaService(settings.taStores ?? [])],
    [RpcCommand.fs, fsService(fileSystem, numbers)],
    [RpcCommand.plugin, pluginService(settings.plugins ?? [])],
    // Without a device the answer is ITEM_NOT_FOUND, like tee-supplicant's: OP-TEE then works without RPMB.
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
          // An error of the callback must not stop the supplicant.
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

/** The maximum number of different failures that are reported: a full disk fails every write. */
const maxWarnings = 100;

function warning(): (failure: TeecError) => void {
  const told = new Set<string>();
  return (failure) => {
    if (told.has(failure.message) || told.size >= maxWarnings) return;
    told.add(failure.message);
    const { cause } = failure;
    // For an error in code, its author needs the stack; for an error of the machine, the message is sufficient.
    const where = cause instanceof Error && !('errno' in cause) && cause.stack !== undefined ? `\n${cause.stack}` : '';
    warn(`supplicant: ${failure.message}${where}`);
  };
}
