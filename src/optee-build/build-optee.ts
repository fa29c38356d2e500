import { createHash } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { AbsentFilesError } from '../debian/absent-files.js';
import { fetchFolders } from '../debian/fetch-folders.js';
import { unpackSource } from '../debian/source-package.js';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularFile, readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { startProcess } from '../processes/start-process.js';
import { fetchedArm64Root } from '../serve/arm64-root.js';
import { cacheFolder, fetchedOptee, folderAt } from '../worlds/qemu/optee-folder.js';
import { type BuildOptions, buildName, buildSuites, makeVariables } from './build-options.js';
import { type BuildTools, findBuildTools } from './build-tools.js';
import {
  type BuildRecord,
  type BuiltOptee,
  buildsFolder,
  builtOptee,
  clientsOf,
  fetchedFolder,
  recordName,
} from './built-optee.js';
import { WorkFolder } from './work-folder.js';

const sourcePackage = 'optee-os';
const scmiPlatform = fileURLToPath(new URL('../../scmi-platform', import.meta.url));
const tailLines = 25;
/**
 * The make targets: OP-TEE's images only. Building everything would include the TA libraries and take a quarter longer.
 */
const images = ['tee-pager_v2.bin', 'tee-pageable_v2.bin', 'tee-header_v2.bin', 'tee.bin', 'tee.elf'] as const;
/** The make target of the TA dev kit, and its folder. */
const kitTarget = 'ta_dev_kit';
const kitFolder = 'export-ta_arm64';

export interface BuildProgress {
  /** A step of the build, as text. */
  say(step: string): void;
  /** Number of files compiled so far. */
  compiled(files: number): void;
}

export interface BuildHow {
  /** Number of parallel compilers (default: one per processor). */
  readonly jobs?: number | undefined;
  /** Build again from the newest source, even if the build exists. */
  readonly again?: boolean | undefined;
}

/**
 * Build OP-TEE OS from Debian's source package, unless it is built already. The result is complete or absent.
 * @throws Error with the output of apt, dpkg or make.
 */
export async function buildOptee(
  options: BuildOptions,
  { jobs = availableParallelism(), again = false }: BuildHow,
  progress: BuildProgress,
): Promise<BuiltOptee> {
  const name = buildName(options);
  const platform = options.scmi === true ? { scmiPlatform: await digestOf(scmiPlatform) } : {};
  const there = again ? undefined : await builtOptee(name);
  if (there !== undefined && there.scmiPlatform === platform.scmiPlatform) {
    // More applications may have been fetched since.
    await applications(options.suite, there.folder.trustedApplications, progress);
    progress.say(`${name} is already built`);
    return there;
  }
  const tools = await findBuildTools();
  const started = performance.now();
  const source = await sourceFolder(options.suite, again, progress);
  const variables = makeVariables(options);
  await using work = await WorkFolder.take(join(cacheFolder(), 'build'));
  progress.say(`building ${name}: OP-TEE OS ${source.version} of Debian ${options.suite}`);
  const objects = join(work.path, 'objects');
  const log = join(cacheFolder(), 'build', `${name}.log`);
  await make(
    {
      source: source.path,
      objects,
      variables,
      tools,
      jobs,
      scmi: options.scmi === true,
      kit: options.profiling === true,
      log,
    },
    progress,
  );

  const parent = buildsFolder();
  makeFolderSync(parent);
  const made = folderAt(await mkdtemp(join(parent, '.build-')));
  try {
    for (const image of images) await cp(join(objects, 'core', image), join(made.path, image));
    await cp(join(objects, 'conf.mk'), made.configuration);
    if (options.profiling) await cp(join(objects, kitFolder), made.kit, { recursive: true, verbatimSymlinks: true });
    await applications(options.suite, made.trustedApplications, progress);
    const seconds = Math.round((performance.now() - started) / 1000);
    const built = new Date().toISOString();
    const { suite } = options;
    const record: BuildRecord = { name, suite, version: source.version, variables, ...platform, built, seconds };
    writeWholeSync(join(made.path, recordName), `${JSON.stringify(record, null, 2)}\n`);
    const path = join(parent, name);
    await rm(path, { recursive: true, force: true });
    await rename(made.path, path);
    await rm(log, { force: true });
    progress.say(`${name} is in ${path}, after ${seconds} s`);
    return { ...record, folder: folderAt(path) };
  } finally {
    await rm(made.path, { recursive: true, force: true });
  }
}

/** SHA-256 of the files in a folder, in hexadecimal. */
async function digestOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(folder)).sort())
    hash.update(name).update(await readRegularFile(join(folder, name)));
  return hash.digest('hex');
}

interface Source {
  readonly path: string;
  readonly version: string;
}

/** The unpacked source package of a suite. */
async function sourceFolder(suite: string, again: boolean, progress: BuildProgress): Promise<Source> {
  const parent = join(cacheFolder(), 'source');
  const path = join(parent, `${sourcePackage}-${suite}`);
  if (again || !existsSync(path)) {
    makeFolderSync(parent);
    progress.say(`downloading the source package ${sourcePackage} of Debian ${suite}`);
    const scratch = await mkdtemp(join(parent, '.source-'));
    try {
      const unpacked = await unpackSource(suite, sourcePackage, scratch).catch((error: unknown) => {
        if (!(error instanceof AbsentFilesError)) throw error;
        const others = buildSuites.filter((other) => other !== suite).map((other) => `--suite ${other}`);
        throw new Error(
          `${error.message}\nSuites that can be built meanwhile: ${others.join(', ')}. ` +
            `The binary packages of ${suite}: normalworld optee fetch --suite ${suite}`,
          { cause: error },
        );
      });
      await rm(path, { recursive: true, force: true });
      await rename(unpacked, path);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  const changelog = await readRegularText(join(path, 'debian/changelog'));
  return { path, version: /\(([^)]+)\)/.exec(changelog)?.[1] ?? 'unknown' };
}

/** The suite's own applications, which are signed with the key in its source, and the matching clients. */
async function applications(suite: string, into: string, progress: BuildProgress): Promise<void> {
  const fetched = fetchedFolder(suite);
  const folders = [fetchedOptee(fetched), fetchedArm64Root(clientsOf(suite))];
  await fetchFolders(suite, folders, { say: (step) => progress.say(step) });
  await cp(fetched.trustedApplications, into, { recursive: true });
}

interface Make {
  readonly source: string;
  readonly objects: string;
  readonly variables: readonly string[];
  readonly tools: BuildTools;
  readonly jobs: number;
  readonly scmi: boolean;
  readonly kit: boolean;
  readonly log: string;
}

async function make(what: Make, progress: BuildProgress): Promise<void> {
  const { source, objects, variables, tools, jobs, scmi, kit, log } = what;
  const child = startProcess(
    'nice',
    [
      ...['-n', '10', 'make', `-j${jobs}`, `O=${objects}`],
      // In some versions the core's compiler is not derived from CROSS_COMPILE.
      ...['CROSS_COMPILE', 'CROSS_COMPILE64'].map((name) => `${name}=${tools.crossCompile}`),
      ...[`PYTHON3=${tools.python}`, ...variables],
      ...images.map((image) => join(objects, 'core', image)),
      ...(kit ? [kitTarget] : []),
    ],
    {
      cwd: source,
      env: {
        ...process.env,
        // Set in the environment, so that OP-TEE's makefiles can append to it; a variable on make's command line cannot
        // be appended to.
        ...(scmi ? { 'core-platform-subdirs': scmiPlatform } : {}),
        ...(tools.ccache && process.env.CCACHE_DIR === undefined ? { CCACHE_DIR: join(cacheFolder(), 'ccache') } : {}),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const file = createWriteStream(log);
  let incomplete = '';
  file.on('error', ({ message }) => {
    incomplete = ` (incomplete: ${message})`;
  });
  const tail: string[] = [];
  let files = 0;
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      file.write(`${line}\n`);
      tail.push(line);
      if (tail.length > tailLines) tail.shift();
      if (/^ {2}(CC|AS|UPD|GEN) /.test(line)) progress.compiled(++files);
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  await new Promise((resolve) => file.end(resolve));
  if (code !== 0)
    throw new Error(`OP-TEE could not be built; the full output is in ${log}${incomplete}:\n${tail.join('\n')}`);
}
