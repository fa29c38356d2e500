import { dirname, join } from 'node:path';
import type { Tee } from './client/tee.js';
import { machineClock } from './clock/clock.js';
import { Measurements } from './coverage/measurements.js';
import { isPath, type OptionNames, requireBooleans, requireKnownOptions, requireMethods } from './known-options.js';
import { checkLinuxTeeOptions } from './linux/open-linux-tee.js';
import { openLinux, refuseForLinux } from './open-linux.js';
import { checkWorldOptions, type OpenWorldOptions, openWorld, openWorldNames } from './open-world.js';
import { type SecureWorld, secureWorldBut } from './protocol/secure-world.js';
import { type EmmcCard, type OpenEmmcOptions, openEmmc } from './rpmb/node/open-emmc.js';
import { show } from './show.js';
import { FolderFileSystem } from './supplicant/node/folder-file-system.js';
import { FolderTaStore } from './supplicant/node/folder-ta-store.js';
import { nodeSockets } from './supplicant/node/node-sockets.js';
import { warnOfOldInstances } from './supplicant/node/old-instances.js';
import { ProfileFolder } from './supplicant/node/profile-folder.js';
import { MemoryTaStore, type TaStore } from './supplicant/ta-store.js';
import { ElfFolders } from './symbolize/elf-folder.js';
import { explainedWorld } from './symbolize/explained-world.js';
import { GdbScript } from './symbolize/gdb-script.js';
import { imageJudge } from './ta/image-judge.js';
import { signedImage } from './ta/signed-image.js';
import { stackSizeOf } from './ta/ta-elf.js';
import { publishTrace } from './trace/node/publish-trace.js';
import { TraceFile } from './trace/node/trace-file.js';
import { Trace } from './trace/trace.js';
import { MemoryFile } from './worlds/qemu/memory-file.js';
import { opteeFolder } from './worlds/qemu/optee-folder.js';
import { checkQemuOptions, type QemuWorldOptions } from './worlds/qemu/qemu-options.js';
import { QemuWorld } from './worlds/qemu/qemu-world.js';
import {
  SimulatedWorld,
  type SimulatedWorldOptions,
  simulatedTaImage,
  type TrustedApplication,
} from './worlds/simulated/index.js';
import { tracedWorld } from './worlds/simulated/traced-world.js';

export interface OpenTeeOptions extends Omit<OpenWorldOptions, 'trace'> {
  /**
   * The destination of events until the TEE is closed: a stream of the caller, or the path of a `.nwt` file that
   * records everything. Default: a new stream without listeners.
   */
  readonly trace?: Trace | string;
  /**
   * The secure world: `simulated`, `qemu` (the real OP-TEE OS in QEMU), `linux` (the one of this machine, through the
   * kernel's driver and `/dev/tee0`), or an object of the caller. Default: `simulated`.
   */
  readonly world?: 'simulated' | 'qemu' | 'linux' | SecureWorld;
  /**
   * For `linux`: the device. Default: `/dev/tee0`. `ssh://[user@]board[:port][/dev/tee0]` is the device of a board that
   * ssh reaches and that has this package; an agent is started there, with the command in NORMALWORLD_REMOTE (default:
   * `normalworld`).
   */
  readonly device?: string;
  /**
   * For `linux`: the maximum number of concurrent requests in the kernel, 1..512, without cancellations. Default: 32.
   */
  readonly deviceCalls?: number;
  /** For `linux`: the mount point of sysfs. Default: `/sys`. */
  readonly sysfs?: string;
  /**
   * For `linux`: record the kernel's tracepoints of OP-TEE in the trace too: each entry to secure world and each return,
   * of all programs of this machine. Needs root. True, or the mount point of tracefs. Events arrive up to 50 ms later.
   * Default: false.
   */
  readonly tracepoints?: boolean | string;
  /** Trusted applications of the simulated world. User TAs are loaded through the supplicant, like real ones. */
  readonly trustedApplications?: readonly TrustedApplication[];
  /** Options of the simulated world. */
  readonly simulated?: Omit<SimulatedWorldOptions, 'trustedApplications' | 'clock' | 'schedule' | 'trace'>;
  /**
   * Keep the simulated world's RAM in a file, so that clients in other processes can share memory with it. Default:
   * false.
   */
  readonly memoryFile?: boolean;
  /** Options of OP-TEE in QEMU. The default image is the fetched one (`normalworld optee fetch`). */
  readonly qemu?: Partial<QemuWorldOptions>;
  /**
   * Folders with images of trusted applications, `<uuid>.ta`, searched in order. A folder may be created later. For
   * `qemu` the fetched test TAs are the default. The simulated world does not run applications in C.
   */
  readonly taFolders?: readonly string[];
  /**
   * Folders with unstripped ELFs, `<uuid>.elf`. They give functions and lines for the call stack of an application that
   * died. Default: `taFolders`, where builds put them.
   */
  readonly taElfFolders?: readonly string[];
  /**
   * The folder for line coverage of the applications with an ELF in `taElfFolders`: one file in lcov's format per TEE,
   * written when it closes. `normalworld ta test --coverage` merges the files.
   */
  readonly coverageFolder?: string;
  /**
   * The folder for profiles of the instructions that OP-TEE and its applications execute, by call stack: per TEE one
   * file of folded stacks, for flame graphs, and one with stack depths. `normalworld ta test --flame-graph` draws the
   * graph.
   */
  readonly flameGraphFolder?: string;
  /**
   * With `qemu: { gdb }`: the path of the gdb script that is written, with load addresses. Default: `normalworld.gdb`.
   */
  readonly gdbScript?: string;
  /** The folder for secure storage. Default: memory, lost when the TEE is closed. */
  readonly storageFolder?: string;
  /**
   * Secure storage is read-only: the folder does not change, and other readers may use it at the same time. Default:
   * false.
   */
  readonly storageReadOnly?: boolean;
  /**
   * An emulated eMMC card, in memory (lost when the TEE is closed) or in a file. Its RPMB partition is accessible
   * through the kernel and through the supplicant. Default: a card in memory for `qemu`, otherwise none; false: no
   * card. Cannot be combined with devices of the caller in `rpmb` and `supplicant.rpmb`.
   */
  readonly emmc?: OpenEmmcOptions | false;
  /** The folder for profiles of instrumented trusted applications (GPROF, FTRACE). Default: profiles are refused. */
  readonly profileFolder?: string;
}

const names: OptionNames<OpenTeeOptions> = {
  ...openWorldNames,
  ...{ world: true, trustedApplications: true, simulated: true, memoryFile: true, qemu: true, taFolders: true },
  ...{ taElfFolders: true, gdbScript: true, coverageFolder: true, flameGraphFolder: true },
  ...{ device: true, deviceCalls: true, tracepoints: true, sysfs: true },
  ...{ storageFolder: true, storageReadOnly: true, profileFolder: true, emmc: true },
};

/**
 * Open a TEE.
 * @throws TypeError or RangeError naming an option that is unknown, for another world, or invalid; ConduitError with
 *   the reason if OP-TEE does not boot; TeecError if the booted OP-TEE cannot be used; Error if a plugin for
 *   measurements cannot be built.
 */
export async function openTee(options: OpenTeeOptions = {}): Promise<Tee> {
  checkOpenTeeOptions(options);
  if (options.world === 'linux') return openLinux(options);
  const { world = 'simulated', trustedApplications = [], supplicant } = options;
  const trace = options.trace instanceof Trace ? options.trace : new Trace(options.clock ?? machineClock);
  publishTrace(trace);
  const taFolders = options.taFolders ?? (world === 'qemu' ? [opteeFolder().trustedApplications] : []);
  const judge = judgeOf(options);
  const taStores = taFolders.map((folder) => new FolderTaStore(folder, judge));
  const images = new MemoryTaStore();
  for (const ta of trustedApplications) if (ta.kind === 'user') images.set(ta.uuid, simulatedTaImage(ta));
  const file = typeof options.trace === 'string' ? new TraceFile(options.trace) : undefined;
  if (file !== undefined) trace.attach(file);
  let card: EmmcCard | undefined;
  const close = () => {
    file?.close();
    card?.close();
  };
  let opened: SecureWorld;
  try {
    card = emmcOf(options);
    opened = await secureWorld(world, options, trace);
  } catch (error) {
    close();
    throw error;
  }
  const common = Object.entries(options).filter(([name]) => Object.hasOwn(openWorldNames, name));
  // A debugger stops the CPUs.
  const isDebugged = options.qemu?.gdb !== undefined;
  const callLimitMs = isDebugged ? Number.POSITIVE_INFINITY : (options.callLimitMs ?? options.qemu?.callLimitMs);
  const tee = await openWorld(closingAfter(opened, close), {
    ...(Object.fromEntries(common) as OpenWorldOptions),
    ...(card === undefined ? {} : { rpmb: [card] }),
    ...(callLimitMs === undefined ? {} : { callLimitMs }),
    trace,
    supplicant:
      supplicant === false
        ? false
        : {
            sockets: nodeSockets,
            ...(options.storageFolder === undefined
              ? {}
              : {
                  fileSystem: new FolderFileSystem(options.storageFolder, {
                    readOnly: options.storageReadOnly ?? false,
                  }),
                }),
            ...(options.profileFolder === undefined ? {} : { profiles: new ProfileFolder(options.profileFolder) }),
            ...(card === undefined ? {} : { rpmb: [card] }),
            ...supplicant,
            // The caller's stores come first, so that a test can replace an image by a broken one.
            taStores: [...(supplicant?.taStores ?? []), ...taStores, images],
          },
  });
  tee.device.onSession = warnOfOldInstances(taStores);
  return tee;
}

/** Predicts why the world will refuse an image of `taFolders`. Nothing is known of a world of the caller. */
function judgeOf({ world = 'simulated', qemu }: OpenTeeOptions): TaStore['doubts'] {
  if (world === 'qemu') return imageJudge(qemu?.optee ?? opteeFolder().image);
  return world === 'simulated' ? async (_uuid, image) => notForSimulation(image) : undefined;
}

/** The simulated world runs applications in TypeScript. */
function notForSimulation(image: Uint8Array): string | undefined {
  if (signedImage(image).kind === 'unknown') return undefined;
  return 'the image is of an application in C, which runs in world "qemu" or "linux"; the world is "simulated"';
}

async function secureWorld(
  world: 'simulated' | 'qemu' | SecureWorld,
  options: OpenTeeOptions,
  trace: Trace,
): Promise<SecureWorld> {
  switch (world) {
    case 'simulated':
      return simulatedWorld(options, trace);
    case 'qemu':
      return qemuWorld(options, trace);
    default:
      return world;
  }
}

async function qemuWorld(options: OpenTeeOptions, trace: Trace) {
  const { qemu, taFolders, taElfFolders, gdbScript, coverageFolder, flameGraphFolder } = options;
  const image = qemu?.optee ?? opteeFolder().image;
  // The ELF of OP-TEE itself, which its build puts next to the image.
  const elves = new ElfFolders(taElfFolders ?? taFolders ?? [], join(dirname(image), 'tee.elf'));
  const script = qemu?.gdb === undefined ? undefined : new GdbScript(gdbScript ?? 'normalworld.gdb', qemu.gdb, elves);
  const folders = {
    coverage: coverageFolder ?? process.env.NORMALWORLD_COVERAGE,
    flameGraph: flameGraphFolder ?? process.env.NORMALWORLD_FLAME_GRAPH,
  };
  const measured = await Measurements.start(folders, elves, stackSizeOf, qemu?.qemu);
  const world = await QemuWorld.start({
    ...qemu,
    optee: image,
    coverage: [...measured.plugins, ...[qemu?.coverage ?? []].flat()],
    onConsoleLine: (line) => {
      script?.read(line.text);
      measured.read(line.text);
      if (qemu?.onConsoleLine !== undefined) qemu.onConsoleLine(line);
      else if (trace.on) trace.emit({ type: 'secure-console', line: line.text });
    },
  }).catch((error: unknown) => {
    measured[Symbol.dispose]();
    throw error;
  });
  return closingAfter(explainedWorld(world, elves), () => measured.finish());
}

function simulatedWorld(options: OpenTeeOptions, trace: Trace): SecureWorld {
  return new SimulatedWorld({
    clock: options.clock ?? machineClock,
    ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
    ...(options.memoryFile ? { dramFile: (size: number) => MemoryFile.create('normalworld', size) } : {}),
    ...options.simulated,
    ...tracedWorld(trace, options.simulated?.faults),
    trustedApplications: options.trustedApplications ?? [],
  });
}

/** The card of a TEE; undefined if the caller passes devices. */
function emmcOf({ emmc, world, rpmb, supplicant }: OpenTeeOptions): EmmcCard | undefined {
  const own = rpmb !== undefined || (supplicant !== undefined && supplicant !== false && supplicant.rpmb !== undefined);
  if (own && emmc !== undefined && emmc !== false)
    throw new TypeError('openTee: emmc, rpmb and supplicant.rpmb all define cards: give only one of them');
  if (own || emmc === false) return undefined;
  return emmc === undefined && world !== 'qemu' ? undefined : openEmmc(emmc);
}

/** The world with an additional function, called after it is disposed of. The TEE disposes of its world last. */
function closingAfter(world: SecureWorld, close: () => void): SecureWorld {
  let isClosed = false;
  return secureWorldBut(world, {
    [Symbol.asyncDispose]: async () => {
      try {
        await world[Symbol.asyncDispose]();
      } finally {
        // A world may be disposed of several times.
        if (!isClosed) close();
        isClosed = true;
      }
    },
  });
}

/**
 * Check the options before anything is started.
 * @throws TypeError or RangeError naming the option.
 */
function checkOpenTeeOptions(options: OpenTeeOptions): void {
  requireKnownOptions('openTee', options, names);
  const { world = 'simulated', trace, taFolders, taElfFolders, storageFolder, trustedApplications } = options;
  if (world !== 'simulated' && world !== 'qemu' && world !== 'linux' && (typeof world !== 'object' || world === null))
    throw new TypeError(`openTee: world is ${show(world)}; allowed: "simulated", "qemu", "linux", or a SecureWorld`);
  if (typeof world === 'object' && typeof world[Symbol.asyncDispose] !== 'function')
    throw new TypeError(`openTee: world is ${show(world)}, which is not a SecureWorld`);
  if (trace !== undefined && typeof trace !== 'string' && !(trace instanceof Trace))
    throw new TypeError(`openTee: trace must be a Trace or the path of a file, not ${typeof trace}`);
  if (typeof trace === 'string' && !isPath(trace))
    throw new TypeError(`openTee: trace must be the path of a file, not ${show(trace)}`);
  for (const [name, list] of Object.entries({ taFolders, taElfFolders, trustedApplications }))
    if (list !== undefined && !Array.isArray(list))
      throw new TypeError(`openTee: ${name} must be an array, not ${typeof list}`);
  for (const folder of taFolders ?? []) requirePath('taFolders', folder);
  for (const folder of taElfFolders ?? []) requirePath('taElfFolders', folder);
  trustedApplications?.forEach((ta, index) => {
    requireMethods('openTee', `trustedApplications[${index}]`, ta, ['create']);
  });
  if (options.simulated !== undefined) checkSimulated(options.simulated);
  const { profileFolder, coverageFolder, flameGraphFolder, gdbScript, memoryFile, storageReadOnly } = options;
  for (const [name, path] of Object.entries({ storageFolder, profileFolder, coverageFolder, flameGraphFolder }))
    if (path !== undefined) requirePath(name, path);
  if (gdbScript !== undefined && !isPath(gdbScript))
    throw new TypeError(`openTee: gdbScript must be the path of a file, not ${show(gdbScript)}`);
  checkLinuxTeeOptions(options);
  requireBooleans('openTee', { memoryFile, storageReadOnly });
  if (options.qemu !== undefined) checkQemuOptions(options.qemu);
  // Options of one kind of world. For another kind they would have no effect, so they are refused.
  const elsewhere: Partial<Record<keyof OpenTeeOptions, 'simulated' | 'qemu' | 'linux'>> = {
    ...{ device: 'linux', deviceCalls: 'linux', sysfs: 'linux', tracepoints: 'linux' },
    ...{ qemu: 'qemu', taElfFolders: 'qemu', coverageFolder: 'qemu', flameGraphFolder: 'qemu', gdbScript: 'qemu' },
    ...{ simulated: 'simulated', memoryFile: 'simulated', trustedApplications: 'simulated' },
  };
  for (const [name, whose] of Object.entries(elsewhere)) {
    const given = options[name as keyof OpenTeeOptions];
    const isNone = given === undefined || given === false || (Array.isArray(given) && given.length === 0);
    // A world of the caller requests the images of applications from the supplicant.
    const isLoaded = name === 'trustedApplications' && typeof world === 'object';
    if (!isNone && !isLoaded && whose !== world)
      throw new TypeError(
        `openTee: ${name} is for world "${whose}", but the world is ${typeof world === 'string' ? `"${world}"` : 'your own'}`,
      );
  }
  checkWorldOptions('openTee', options);
  if (world === 'linux') refuseForLinux(options);
  else checkSupplicantFolders(options);
}

/** Options of the simulated world that are options of `openTee` itself. */
const saidOutside: ReadonlySet<string> = new Set(['trustedApplications', 'clock', 'schedule', 'trace']);

function checkSimulated(simulated: unknown): void {
  if (typeof simulated !== 'object' || simulated === null || Array.isArray(simulated))
    throw new TypeError(
      `openTee: simulated must be an object, not ${Array.isArray(simulated) ? 'an array' : show(simulated)}`,
    );
  for (const [name, value] of Object.entries(simulated))
    if (value !== undefined && saidOutside.has(name))
      throw new TypeError(`openTee: ${name} is an option of openTee itself, not of simulated`);
}

/** Refuse folders for a supplicant if there is no supplicant, or if its settings replace them. */
function checkSupplicantFolders(options: OpenTeeOptions): void {
  const { supplicant, storageFolder, storageReadOnly, profileFolder, gdbScript, qemu } = options;
  if (storageReadOnly === true && storageFolder === undefined)
    throw new TypeError('openTee: storageReadOnly needs storageFolder');
  if (gdbScript !== undefined && qemu?.gdb === undefined) throw new TypeError('openTee: gdbScript needs qemu: { gdb }');
  const places = [
    ['storageFolder', storageFolder, 'fileSystem'],
    ['profileFolder', profileFolder, 'profiles'],
  ] as const;
  for (const [name, folder, instead] of places) {
    if (folder === undefined) continue;
    if (supplicant === false) throw new TypeError(`openTee: ${name} is for a supplicant, and supplicant is false`);
    if (supplicant?.[instead] !== undefined)
      throw new TypeError(`openTee: ${name} and supplicant.${instead} say the same: give only one of them`);
  }
}

function requirePath(name: string, path: unknown): void {
  if (!isPath(path))
    throw new TypeError(
      `openTee: ${name} must have paths of folders, not ${path === '' ? 'an empty one' : typeof path === 'string' ? 'one with NUL' : typeof path}`,
    );
}
