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

/**
 * Download arm64 packages of a suite and unpack them all into one folder. Nothing is installed and the machine's own
 * package state is not touched: apt works on a state of its own, in a temporary folder, with the machine's source and
 * another suite.
 * @param names packages; a name may be a pattern that apt-cache understands when it starts with `^`: the newest is taken.
 * @throws Error with apt's own words.
 */
export async function unpackPackages(
  suite: string,
  names: readonly string[],
  into: string,
): Promise<UnpackedPackage[]> {
  const source = await machineSource();
  const state = await mkdtemp(join(tmpdir(), 'normalworld-apt-'));
  try {
    const parts = join(state, 'sources.d');
    const debs = join(state, 'debs');
    for (const folder of ['lists/partial', 'cache/archives/partial'])
      await mkdir(join(state, folder), { recursive: true });
    await mkdir(parts);
    await mkdir(debs);
    await writeFile(join(state, 'status'), '');
    const signedBy = source.signedBy === undefined ? '' : `Signed-By: ${source.signedBy}\n`;
    await writeFile(
      join(parts, 'normalworld.sources'),
      `Types: deb\nURIs: ${source.uris}\nSuites: ${suite}\nComponents: main\n${signedBy}`,
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
    const apt = async (program: string, ...args: string[]) => {
      const { stdout } = await run(program, [...options, ...args], { cwd: debs, maxBuffer: 1 << 26 });
      return stdout;
    };
    await apt('apt-get', '--quiet', '--error-on=any', 'update');
    const wanted: string[] = [];
    for (const name of names) wanted.push(name.startsWith('^') ? await newestMatching(apt, name) : name);
    await apt('apt-get', '--quiet', 'download', ...wanted);
    const unpacked: UnpackedPackage[] = [];
    for (const deb of await readdir(debs)) {
      const field = async (name: string) => (await run('dpkg-deb', ['--field', join(debs, deb), name])).stdout.trim();
      unpacked.push({ name: await field('Package'), version: await field('Version') });
      await run('dpkg-deb', ['--extract', join(debs, deb), into]);
    }
    return unpacked;
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

async function newestMatching(apt: (program: string, ...args: string[]) => Promise<string>, pattern: string) {
  const found = (await apt('apt-cache', 'search', '--names-only', pattern))
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');
  const newest = found
    .filter((name) => name !== '')
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  if (newest === undefined) throw new Error(`no package ${pattern}`);
  return newest;
}
