import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AbsentFilesError } from '../debian/absent-files.js';
import { unpackSource } from '../debian/source-package.js';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';
import type { OpteeFolder } from '../worlds/qemu/optee-folder.js';

const run = promisify(execFile);

export const hostTriplet = 'x86_64-linux-gnu';

const libraryOf = (optee: OpteeFolder) => join(optee.client, hostTriplet);
const isThere = (optee: OpteeFolder) => existsSync(join(libraryOf(optee), 'libteec.a'));

/** Where libteec for this machine is, or how to get it, as text. */
export async function aboutHostClientLibrary(optee: OpteeFolder): Promise<string> {
  if (process.arch !== 'x64') return `libteec for this machine is in ${join(optee.client, 'aarch64-linux-gnu')}`;
  if (isThere(optee)) return `libteec for x86-64 is in ${libraryOf(optee)}`;
  const missing = await missingTools();
  return (
    'libteec for x86-64 is missing: Debian has it for arm64 only, so it is built from source. ' +
    (missing.length > 0
      ? `More packages are needed: apt-get install ${missing.join(' ')}; then fetch --again. `
      : "The archive lists Debian's source package of it (optee-client) but does not have the files: with a clone of OP-TEE/optee_client, " +
        'fetch --client-source FOLDER builds it. ') +
    'Programs for arm64, and tests in TypeScript, do not need it'
  );
}

/**
 * Build libteec for x86-64 from Debian's source package (four C files), if possible.
 * @param from a folder with its source, or suites to try in order: the interface is the same in all of them.
 * @throws Error saying why it could not be built.
 */
export async function buildHostClientLibrary(optee: OpteeFolder, from: string | readonly string[]): Promise<void> {
  if (process.arch !== 'x64') return;
  const missing = await missingTools(typeof from === 'string' ? ['cc', 'ar'] : undefined);
  if (missing.length > 0 && typeof from === 'string')
    throw new Error(`building libteec needs more; as root: apt-get install ${missing.join(' ')}`);
  if (missing.length > 0) return;
  const work = await mkdtemp(join(tmpdir(), 'normalworld-libteec-'));
  try {
    const source = typeof from === 'string' ? sourceIn(from) : await sourceOf(from, work);
    const made = join(work, 'made');
    await mkdir(made);
    await build(source, made);
    await rm(libraryOf(optee), { recursive: true, force: true });
    makeFolderSync(optee.client);
    await moved(made, libraryOf(optee));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function sourceIn(folder: string): string {
  if (existsSync(join(folder, 'libteec/src'))) return folder;
  throw new RangeError(`${folder} has no libteec/src: expected a clone of OP-TEE/optee_client`);
}

const packageOf: Readonly<Record<string, string>> = { cc: 'gcc libc6-dev', ar: 'binutils', 'dpkg-source': 'dpkg-dev' };

/** Debian packages of the programs that are missing. */
async function missingTools(programs: readonly string[] = Object.keys(packageOf)): Promise<string[]> {
  const missing: string[] = [];
  for (const program of programs) if (!(await works(program))) missing.push(packageOf[program] ?? program);
  return missing;
}

async function sourceOf(suites: readonly string[], into: string): Promise<string> {
  let absent: unknown;
  for (const suite of suites)
    try {
      return await unpackSource(suite, 'optee-client', into);
    } catch (error) {
      if (!(error instanceof AbsentFilesError)) throw error;
      absent ??= error;
    }
  throw absent;
}

async function build(source: string, into: string): Promise<void> {
  const code = join(source, 'libteec/src');
  const files = (await readdir(code)).filter((name) => name.endsWith('.c')).map((name) => join(code, name));
  // The major version of the interface, from its own makefile.
  const major =
    /^MAJOR_VERSION\s*:?=\s*(\d+)/m.exec(await readRegularText(join(source, 'libteec/Makefile')))?.[1] ?? '2';
  const includes = ['libteec/include', 'public', 'libteec/src'].flatMap((each) => ['-I', join(source, each)]);
  const flags = ['-O2', '-fPIC', '-D_GNU_SOURCE', '-DDEBUGLEVEL_1', '-DBINARY_PREFIX="TEEC"', ...includes];
  const objects: string[] = [];
  for (const [index, file] of files.entries()) {
    const object = join(into, `${index}.o`);
    await run('cc', [...flags, '-c', file, '-o', object]);
    objects.push(object);
  }
  const name = `libteec.so.${major}`;
  await run('cc', ['-shared', `-Wl,-soname,${name}`, ...objects, '-o', join(into, name), '-lpthread']);
  await run('ar', ['rcs', join(into, 'libteec.a'), ...objects]);
  await symlink(name, join(into, 'libteec.so'));
  for (const object of objects) await rm(object);
}

/** Move a folder; it is copied if the target is on another file system. */
async function moved(from: string, to: string): Promise<void> {
  await rename(from, to).catch(() => cp(from, to, { recursive: true, verbatimSymlinks: true }));
}

async function works(program: string): Promise<boolean> {
  return run(program, ['--version']).then(
    () => true,
    () => false,
  );
}
