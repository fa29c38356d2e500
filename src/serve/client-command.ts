import { accessSync, constants, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nameFileInErrors } from '../files/name-file-in-errors.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { cacheFolder } from '../worlds/qemu/optee-folder.js';
import { arm64Root } from './arm64-root.js';
import { TemporaryFolder } from './temporary-folder.js';
import { libraryMark } from './wire.js';

/** A command that starts a client so that it finds the server. Dispose of it when the client has ended. */
export interface ClientCommand extends Disposable {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Values of e_machine in an ELF header (System V ABI, processor supplements), and the compiler's name of the
 * architecture.
 */
const machines: Readonly<Record<number, string>> = { 62: 'x86_64', 183: 'aarch64' };
const hosts: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** This machine's architecture, as the compiler names it. */
export const hostArchitecture = hosts[process.arch] ?? process.arch;

/** The source of the preload library. */
export const preloadFolder = fileURLToPath(new URL('../../preload/', import.meta.url));

/**
 * The build folder of the preload library: beside its source, or in the user's cache if that folder is not writable.
 */
export function preloadBuildFolder(): string {
  try {
    accessSync(preloadFolder, constants.W_OK);
    return join(preloadFolder, 'build');
  } catch {
    return join(cacheFolder(), 'preload');
  }
}

/** Path of the preload library for an architecture; it may not be built yet. */
export function preloadLibrary(architecture: string): string {
  const [shipped = '', built] = [join(preloadFolder, 'build'), preloadBuildFolder()].map((folder) =>
    join(folder, architecture, 'libnormalworld.so'),
  );
  return existsSync(shipped) ? shipped : (built ?? shipped);
}

/** Whether an existing preload library has the same protocol version as this server. */
export function isOfThisVersion(library: string): boolean {
  return readRegularFileSync(library).includes(libraryMark);
}

/**
 * The command that runs a program as a client of the server: with the preload library, and under qemu-user if the
 * program is for another architecture.
 * @param socket path of the server's socket. It is made absolute, because the client may change its working directory.
 * @throws Error saying what is missing.
 */
export async function clientCommand(
  program: string,
  args: readonly string[],
  socket: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<ClientCommand> {
  const path = findProgram(program, environment.PATH ?? '');
  const architecture = (await elfArchitecture(path)) ?? hostArchitecture;
  const library = preloadLibrary(architecture);
  if (!existsSync(library)) throw new Error(`no ${library}; build it with: npx normalworld preload`);
  if (!isOfThisVersion(library))
    throw new Error(`${library} belongs to another version; build it again with: npx normalworld preload`);
  const env = { ...environment, NORMALWORLD_SOCKET: resolve(socket) };
  if (architecture === hostArchitecture)
    return {
      ...{ program: path, args, env: { ...env, LD_PRELOAD: preload(library, environment.LD_PRELOAD) } },
      [Symbol.dispose]: () => undefined,
    };
  const root = architecture === 'aarch64' ? ['-L', resolve(arm64Root(environment).path)] : [];
  const emulator = findProgram(`qemu-${architecture}`, environment.PATH ?? '', '; apt-get install qemu-user');
  return throughLauncher(
    [emulator, ...root, '-E', `LD_PRELOAD=${library}`, '-E', 'NORMALWORLD_LAUNCHED=1', '-0', '$0', resolve(path)],
    args,
    env,
  );
}

/**
 * Start a program for another architecture through a script, under whose path the program also finds itself: the kernel
 * could not execute the program directly when it starts itself again.
 */
function throughLauncher(words: readonly string[], args: readonly string[], env: NodeJS.ProcessEnv): ClientCommand {
  const folder = new TemporaryFolder('normalworld-client-');
  const launcher = join(folder.path, basename(words.at(-1) ?? ''));
  const quoted = words.map((word) => (word === '$0' ? '"$0"' : `'${word.replaceAll("'", "'\\''")}'`));
  try {
    writeWholeSync(launcher, `#!/bin/sh\nexec ${quoted.join(' ')} "$@"\n`, { mode: 0o700 });
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
  return { program: launcher, args, env, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

function preload(library: string, others: string | undefined): string {
  return others === undefined || others === '' ? library : `${library} ${others}`;
}

function findProgram(program: string, path: string, how = ''): string {
  if (program.includes('/')) {
    if (existsSync(program)) return program;
  } else {
    for (const folder of path.split(delimiter)) if (existsSync(join(folder, program))) return join(folder, program);
  }
  throw new Error(`no program ${program}${how}`);
}

/** The architecture of an ELF file; undefined for a script, whose interpreter is a program of this machine. */
async function elfArchitecture(path: string): Promise<string | undefined> {
  await using file = await open(path);
  const head = Buffer.alloc(20);
  const { bytesRead } = await nameFileInErrors(path, () => file.read(head, 0, head.length, 0));
  if (bytesRead < head.length || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const machine = head.readUInt16LE(18);
  const architecture = machines[machine];
  if (architecture === undefined) throw new Error(`${path} is for machine ${machine}: there is no preload library`);
  return architecture;
}
