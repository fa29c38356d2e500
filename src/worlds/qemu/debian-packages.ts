import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A source of Debian packages, as a stanza of a deb822 source list has it. */
export interface DebianSource {
  readonly uris: string;
  readonly signedBy: string | undefined;
}

const architecture = 'arm64';
/** Updates, security and backports hold only some packages; their suites are called `trixie-updates`. */
const wholeSuite = /^[a-z]+$/;

/** The first source of whole Debian suites in a list in deb822 form (`/etc/apt/sources.list.d/*.sources`). */
export function sourceOfStanzas(text: string): DebianSource | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let name = '';
    for (const line of stanza.split('\n')) {
      const field = /^([\w-]+):\s*(.*)$/.exec(line);
      if (field !== null) {
        name = (field[1] ?? '').toLowerCase();
        fields.set(name, field[2] ?? '');
      } else if (/^\s/.test(line)) {
        fields.set(name, `${fields.get(name) ?? ''}\n${line}`);
      }
    }
    const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    const uris = words('uris').join(' ');
    if (
      uris !== '' &&
      fields.get('enabled') !== 'no' &&
      words('types').includes('deb') &&
      words('suites').some((suite) => wholeSuite.test(suite)) &&
      words('components').includes('main')
    )
      return { uris, signedBy: fields.get('signed-by') };
  }
  return undefined;
}

/** The same of a list with a line a source (`/etc/apt/sources.list`). */
export function sourceOfLines(text: string): DebianSource | undefined {
  for (const line of text.split('\n')) {
    const found = /^deb\s+(?:\[(?<options>[^\]]*)\]\s+)?(?<uri>\S+)\s+(?<suite>\S+)\s+(?<components>.*)$/.exec(
      line.trim(),
    );
    const { options = '', uri = '', suite = '', components = '' } = found?.groups ?? {};
    if (uri === '' || !wholeSuite.test(suite) || !components.split(/\s+/).includes('main')) continue;
    return { uris: uri, signedBy: /signed-by=(\S+)/.exec(options)?.[1] };
  }
  return undefined;
}

/**
 * Where this machine gets its Debian packages from.
 * @throws Error when it is no Debian, or names no source.
 */
export async function machineSource(etc = '/etc'): Promise<DebianSource> {
  const release = await readFile(join(etc, 'os-release'), 'utf8').catch(() => '');
  if (!/^ID=debian$/m.test(release))
    throw new Error('this machine is no Debian: its package sources do not hold OP-TEE');
  const folder = join(etc, 'apt/sources.list.d');
  const names = (await readdir(folder).catch(() => [])).sort();
  for (const name of ['../sources.list', ...names]) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => '');
    const source = name.endsWith('.sources')
      ? sourceOfStanzas(text)
      : name.endsWith('.list')
        ? sourceOfLines(text)
        : undefined;
    if (source !== undefined) return source;
  }
  throw new Error(`no source of Debian packages in ${etc}/apt`);
}

/** A package that was unpacked. */
export interface UnpackedPackage {
  readonly name: string;
  readonly version: string;
}

/** What a source list calls packages to install, and packages to build from. */
type PackageKind = 'deb' | 'deb-src';

/**
 * apt with a suite of its own. Nothing is installed and the machine's own package state is not touched: it works on a state
 * of its own, in a temporary folder, with the machine's source and another suite.
 */
export class PrivateApt implements AsyncDisposable {
  private constructor(
    private readonly state: string,
    private readonly options: readonly string[],
  ) {}

  /** @throws Error with apt's own words. */
  static async open(suite: string, kind: PackageKind): Promise<PrivateApt> {
    const source = await machineSource();
    const state = await mkdtemp(join(tmpdir(), 'normalworld-apt-'));
    const parts = join(state, 'sources.d');
    for (const folder of ['lists/partial', 'cache/archives/partial', 'sources.d'])
      await mkdir(join(state, folder), { recursive: true });
    await writeFile(join(state, 'status'), '');
    const signedBy = source.signedBy === undefined ? '' : `Signed-By: ${source.signedBy}\n`;
    await writeFile(
      join(parts, 'normalworld.sources'),
      `Types: ${kind}\nURIs: ${source.uris}\nSuites: ${suite}\nComponents: main\n${signedBy}`,
    );
    const options = [
      `Dir::State=${state}`,
      `Dir::State::lists=${join(state, 'lists')}`,
      `Dir::State::status=${join(state, 'status')}`,
      `Dir::Cache=${join(state, 'cache')}`,
      'Dir::Etc::sourcelist=/dev/null',
      `Dir::Etc::sourceparts=${parts}`,
      `APT::Architecture=${architecture}`,
      `APT::Architectures::=${architecture}`,
      // apt's own user could not write into our folder.
      'APT::Sandbox::User=root',
    ].flatMap((option) => ['-o', option]);
    const apt = new PrivateApt(state, options);
    try {
      await apt.run(state, 'apt-get', '--quiet', '--error-on=any', 'update');
      return apt;
    } catch (error) {
      await apt[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Run apt-get or apt-cache in a folder. @returns what it prints. */
  async run(folder: string, program: 'apt-get' | 'apt-cache', ...args: string[]): Promise<string> {
    const { stdout } = await run(program, [...this.options, ...args], { cwd: folder, maxBuffer: 1 << 26 });
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.state, { recursive: true, force: true });
  }
}

/**
 * Download arm64 packages of a suite and unpack them all into one folder.
 * @param names packages; a name may be a pattern that apt-cache understands when it starts with `^`: the newest is taken.
 * @throws Error with apt's own words.
 */
export async function unpackPackages(
  suite: string,
  names: readonly string[],
  into: string,
): Promise<UnpackedPackage[]> {
  await using apt = await PrivateApt.open(suite, 'deb');
  const debs = await mkdtemp(join(tmpdir(), 'normalworld-debs-'));
  try {
    const wanted: string[] = [];
    for (const name of names) wanted.push(name.startsWith('^') ? await newestMatching(apt, debs, name) : name);
    await apt.run(debs, 'apt-get', '--quiet', 'download', ...wanted);
    const unpacked: UnpackedPackage[] = [];
    for (const deb of await readdir(debs)) {
      const field = async (name: string) => (await run('dpkg-deb', ['--field', join(debs, deb), name])).stdout.trim();
      unpacked.push({ name: await field('Package'), version: await field('Version') });
      await run('dpkg-deb', ['--extract', join(debs, deb), into]);
    }
    return unpacked;
  } finally {
    await rm(debs, { recursive: true, force: true });
  }
}

/** An archive lists a package and does not have its files: an incomplete mirror, or one that is being renewed. */
export class AbsentFilesError extends Error {
  constructor(
    what: string,
    readonly urls: readonly string[],
    cause: unknown,
  ) {
    super(`the archive of Debian packages lists ${what}, and has not got it (404):\n${urls.join('\n')}`, { cause });
  }
}

/** The files that apt could not get because they are not there. */
export function absentFiles(said: string): string[] {
  return [...said.matchAll(/^E: Failed to fetch (\S+)\s+404\b/gm)].flatMap(([, url]) => url ?? []);
}

/**
 * Download a source package of a suite and unpack it with its patches: the folder that is then in `into`.
 * @throws AbsentFilesError, or Error with the words of apt or dpkg-source.
 */
export async function unpackSource(suite: string, name: string, into: string): Promise<string> {
  await using apt = await PrivateApt.open(suite, 'deb-src');
  await apt.run(into, 'apt-get', '--quiet', 'source', name).catch((error: unknown) => {
    const urls = absentFiles(error instanceof Error ? error.message : '');
    throw urls.length === 0 ? error : new AbsentFilesError(`the source package ${name} of ${suite}`, urls, error);
  });
  const folders = (await readdir(into, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const [folder] = folders;
  if (folder === undefined) throw new Error(`the source package ${name} of ${suite} holds no folder`);
  return join(into, folder.name);
}

async function newestMatching(apt: PrivateApt, folder: string, pattern: string) {
  const found = (await apt.run(folder, 'apt-cache', 'search', '--names-only', pattern))
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');
  const newest = found
    .filter((name) => name !== '')
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  if (newest === undefined) throw new Error(`no package ${pattern}`);
  return newest;
}
