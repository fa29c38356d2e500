import { readdirSync } from 'node:fs';
import { secureWorldBut } from '../protocol/secure-world.js';
import { parseUuid, type Uuid } from '../protocol/uuid.js';
import { driverTarget } from './driver/driver-target.js';
import type { Target } from './engine/target.js';
import { ioctlTarget } from './ioctl/ioctl-target.js';
import { OpteeMachine, type OpteeUnderTest } from './optee/optee-machine.js';
import { rawTarget } from './raw/raw-target.js';
import { SimulatedMachine, simulatedApplications } from './raw/simulated-machine.js';
import { type ApplicationTargetName, applicationTarget } from './targets/application.js';
import type { KnownCommand } from './targets/application-grammar.js';
import { changedFiles } from './targets/changed-files.js';
import { changedImage } from './targets/changed-image.js';
import { knownImage } from './targets/known-image.js';
import { lyingRpc } from './targets/lying-rpc.js';
import type { SurroundingsKind } from './targets/surroundings.js';

/** The names of the targets, with descriptions. */
export const targetNames = {
  ta: 'commands of a trusted application, in sessions (takes its UUID)',
  pta: 'commands of a pseudo-TA, in sessions (takes its UUID)',
  smc: 'registers of fast and yielding calls',
  message: 'whole messages: parameters, counts, addresses, lists of pages, memory that changes while it is read',
  rpc: "answers to secure world's RPCs: files, images, memory, time (takes the UUID of an application)",
  'ta-image': 'changed images of an application (takes its UUID)',
  storage: "files of secure storage, changed behind OP-TEE's back (takes the UUID of an application that uses them)",
  driver: 'our driver, with false answers from a simulated secure world',
  ioctl: 'the served device: ioctls of hostile clients on its socket, in parallel with a well-behaved one',
} as const;
export type TargetName = keyof typeof targetNames;

/** An address in the secure RAM of QEMU's virt board, in which OP-TEE is. */
const secureRam = 0x0e00_0000;
/**
 * Pseudo-TAs: invocation tests, enumeration of devices, statistics, TA management; and a UUID that OP-TEE does not
 * have.
 */
const pseudoApplications: readonly Uuid[] = [
  'd96a5b40-c3e5-21e3-8794-1002a5d5c61b',
  '7011a688-ddde-4053-a5a9-7b3c4ddf13b8',
  'd96a5b40-e2c7-b1af-8794-1002a5d5c61b',
  '6e256cba-fc4d-4941-ad09-2ca1860342dd',
  'ffffffff-0000-4000-8000-000000000000',
];

/** Targets that need the UUID of an application. */
const withUuid: ReadonlySet<TargetName> = new Set(['ta', 'pta', 'rpc', 'ta-image', 'storage']);

/** Targets that need no OP-TEE. */
export const inThisProcess: ReadonlySet<TargetName> = new Set(['driver', 'ioctl']);

export function takesUuid(name: TargetName): boolean {
  return withUuid.has(name);
}

export interface TargetSettings {
  readonly optee: OpteeUnderTest;
  /** For `smc` and `message`: use the simulated secure world instead of OP-TEE. */
  readonly simulated?: boolean;
  /** The application's commands; none are known when left out. */
  readonly commands?: readonly KnownCommand[];
}

/** @throws RangeError if a UUID is missing, invalid, or not used by the target. */
export function targetNamed(name: TargetName, uuid: string | undefined, settings: TargetSettings): Target {
  if (takesUuid(name) && uuid === undefined) throw new RangeError(`target ${name} needs the UUID of an application`);
  if (!takesUuid(name) && uuid !== undefined) throw new RangeError(`target ${name} takes no UUID`);
  const { optee, commands = [], simulated = false } = settings;
  if (simulated && name !== 'smc' && name !== 'message')
    throw new RangeError(`target ${name} cannot use the simulated secure world; smc and message can`);
  switch (name) {
    case 'ta':
    case 'pta':
    case 'rpc':
    case 'ta-image':
    case 'storage': {
      const application = uuidOf(uuid ?? '');
      const others = applicationsIn(optee.taFolders).filter((each) => each !== application);
      return applicationTarget(
        name,
        {
          uuid: application,
          others,
          commands,
          image: name === 'ta' ? knownImage(application, optee.taFolders) : undefined,
        },
        optee,
        surroundingsOf(name, application, optee),
      );
    }
    case 'smc':
    case 'message':
      if (simulated)
        return rawTarget(name, {
          boot: () => SimulatedMachine.boot(),
          isTimed: false,
          applications: simulatedApplications,
          secureAddress: secureRam,
        });
      return rawTarget(name, {
        boot: () =>
          OpteeMachine.boot({
            ...optee,
            // The inputs alone answer notifications. The driver's calls would use their threads.
            between: (world) => secureWorldBut(world, { notificationInterrupt: { listen: () => () => undefined } }),
          }),
        isTimed: true,
        applications: pseudoApplications,
        secureAddress: secureRam,
      });
    case 'driver':
      return driverTarget();
    case 'ioctl':
      return ioctlTarget();
    default:
      return name satisfies never;
  }
}

function surroundingsOf(
  name: ApplicationTargetName,
  uuid: Uuid,
  { taFolders }: OpteeUnderTest,
): SurroundingsKind | undefined {
  switch (name) {
    case 'rpc':
      return lyingRpc;
    case 'ta-image':
      return changedImage(uuid, taFolders);
    case 'storage':
      return changedFiles;
    default:
      return undefined;
  }
}

function uuidOf(text: string): Uuid {
  try {
    return parseUuid(text);
  } catch (error) {
    throw new RangeError((error as Error).message);
  }
}

function applicationsIn(folders: readonly string[]): readonly Uuid[] {
  return folders.flatMap((folder) => {
    try {
      return readdirSync(folder).flatMap((file) => /^([0-9a-f-]{36})\.ta$/.exec(file)?.[1] ?? []);
    } catch {
      return [];
    }
  });
}
