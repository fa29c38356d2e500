import type { Tee } from './client/tee.js';
import { machineClock } from './clock/clock.js';
import { type OpenWorldOptions, openWorld } from './open-world.js';
import type { SecureWorld } from './protocol/secure-world.js';
import { FolderFileSystem } from './supplicant/node/folder-file-system.js';
import { FolderTaStore } from './supplicant/node/folder-ta-store.js';
import { MemoryTaStore, type TaStore } from './supplicant/ta-store.js';
import {
  SimulatedWorld,
  type SimulatedWorldOptions,
  simulatedTaImage,
  type TrustedApplication,
} from './worlds/simulated/index.js';

export interface OpenTeeOptions extends OpenWorldOptions {
  /** Which secure world: `simulated` when left out, or one of your own making. */
  readonly world?: 'simulated' | SecureWorld;
  /** Trusted applications of the simulated world. User TAs are loaded through the supplicant, as real ones are. */
  readonly trustedApplications?: readonly TrustedApplication[];
  /** How the simulated world is made. */
  readonly simulated?: Omit<SimulatedWorldOptions, 'trustedApplications' | 'clock' | 'schedule'>;
  /** Folders with images of trusted applications, `<uuid>.ta`, asked in order. */
  readonly taFolders?: readonly string[];
  /** The folder that secure storage writes to; memory that goes with the TEE when left out. */
  readonly storageFolder?: string;
}

/**
 * Open a TEE.
 * @throws TeecError with the reason when the world cannot be used.
 */
export async function openTee(options: OpenTeeOptions = {}): Promise<Tee> {
  const { world = 'simulated', trustedApplications = [], supplicant } = options;
  const taStores: TaStore[] = (options.taFolders ?? []).map((folder) => new FolderTaStore(folder));
  const images = new MemoryTaStore();
  for (const ta of trustedApplications) if (ta.kind === 'user') images.set(ta.uuid, simulatedTaImage(ta));
  return openWorld(world === 'simulated' ? simulatedWorld(options) : world, {
    ...options,
    supplicant:
      supplicant === false
        ? false
        : {
            ...(options.storageFolder === undefined ? {} : { fileSystem: new FolderFileSystem(options.storageFolder) }),
            ...supplicant,
            // The caller's stores come first: a test may put a broken image there.
            taStores: [...(supplicant?.taStores ?? []), ...taStores, images],
          },
  });
}

function simulatedWorld(options: OpenTeeOptions): SecureWorld {
  return new SimulatedWorld({
    clock: options.clock ?? machineClock,
    ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
    ...options.simulated,
    trustedApplications: options.trustedApplications ?? [],
  });
}
