import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildOptee } from '../../src/optee-build/build-optee.js';
import { type BuildOptions, parseBuildVariable } from '../../src/optee-build/build-options.js';
import { findBuildTools } from '../../src/optee-build/build-tools.js';
import { builtOptee, builtOptees, recordName } from '../../src/optee-build/built-optee.js';
import { WorkFolder } from '../../src/optee-build/work-folder.js';
import { cacheFolder } from '../../src/worlds/qemu/optee-folder.js';

const command = resolve(import.meta.dirname, '../../dist/cli/main.js');

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'normalworld-'));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A cache with an OP-TEE that was built, as far as its record goes. */
async function cacheWith(name: string): Promise<string> {
  const cache = await mkdtemp(join(scratch, 'cache-'));
  const folder = join(cache, 'normalworld/builds', name);
  await mkdir(join(folder, 'ta'), { recursive: true });
  const record = {
    name,
    suite: 'sid',
    version: '4.10.0-2',
    variables: ['CFG_A=y'],
    built: '2026-08-01T00:00:00Z',
    seconds: 1,
  };
  await writeFile(join(folder, recordName), JSON.stringify(record));
  await writeFile(join(folder, 'tee-pager_v2.bin'), 'text');
  return cache;
}

const normalworldWith = (environment: NodeJS.ProcessEnv, cache: string, ...args: string[]) =>
  spawnSync(process.execPath, [command, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...environment, XDG_CACHE_HOME: cache },
  });
const normalworld = (cache: string, ...args: string[]) => normalworldWith({}, cache, ...args);

describe('an OP-TEE that was built', () => {
  it('is rebuilt if its SCMI platform has changed', async () => {
    const cache = await cacheWith('sid-scmi');
    // Without tools nothing can be built: it says so when it wants to build.
    const { status, stderr } = normalworldWith(
      { PATH: '/nowhere' },
      cache,
      'optee',
      'build',
      '--suite',
      'sid',
      '--scmi',
    );
    expect(stderr).toContain('building OP-TEE needs more');
    expect(status).toBe(1);
  });

  it('is listed with its version, and selected by its name', async () => {
    const cache = await cacheWith('sid-ffa');
    const folder = join(cache, 'normalworld/builds');
    expect((await builtOptees(folder)).map(({ name }) => name)).toEqual(['sid-ffa']);
    expect((await builtOptee('sid-ffa', folder))?.folder.image).toBe(join(folder, 'sid-ffa/tee-pager_v2.bin'));
    for (const other of ['sid', '', '.', '..', '../builds/sid-ffa', '.build-x'])
      expect(await builtOptee(other, folder), other).toBeUndefined();
    const listed = normalworld(cache, 'optee', 'list');
    expect(listed.stdout).toMatch(/^sid-ffa +4\.10\.0-2 +\/.*\/sid-ffa\n$/);
    const [first] = JSON.parse(normalworld(cache, 'optee', 'list', '--json').stdout) as unknown[];
    expect(first).toMatchObject({ name: 'sid-ffa', variables: ['CFG_A=y'] });
  });

  it('is used by a command with its name', async () => {
    const cache = await cacheWith('sid-ffa');
    const { stdout } = normalworld(cache, 'doctor', '--optee', 'sid-ffa');
    expect(stdout).toContain(join(cache, 'normalworld/builds/sid-ffa'));
  });

  it("is listed with Debian's own ones, each under the name of its suite", async () => {
    const cache = await cacheWith('sid-ffa');
    for (const folder of ['optee', 'optee-sid']) {
      await mkdir(join(cache, 'normalworld', folder, 'ta'), { recursive: true });
      await writeFile(join(cache, 'normalworld', folder, 'tee-pager_v2.bin'), 'text');
    }
    const environment = { NORMALWORLD_OPTEE: '' };
    expect(normalworldWith(environment, cache, 'optee', 'list').stdout).toMatch(
      /^debian-trixie +your own .*\/optee\ndebian-sid +your own .*\/optee-sid\nsid-ffa /,
    );
    const { stdout } = normalworldWith(environment, cache, 'doctor', '--optee', 'debian-sid');
    expect(stdout).toContain(join(cache, 'normalworld/optee-sid'));
  });

  it('is missing in an empty list, which says how to get one', async () => {
    const cache = await mkdtemp(join(scratch, 'cache-'));
    expect(normalworld(cache, 'optee', 'list').stdout).toMatch(/^none: get one with `normalworld optee fetch`/);
  });

  it.each([
    [['--threads', '0'], /'--threads <number>' argument '0' is invalid. Allowed are integers 1 to 64/],
    [['--threads', 'two'], /argument 'two' is invalid/],
    [['--log-level', '5'], /Allowed are integers 0 to 4/],
    [['--cores', '-1'], /--cores/],
    [['--suite', 'bookworm'], /Allowed choices are trixie, sid/],
    [['--set', 'O=/tmp/x'], /"O=\/tmp\/x" is not a variable of OP-TEE's build/],
  ])('is not built with %j', async (args, says) => {
    const { status, stderr } = normalworld(scratch, 'optee', 'build', ...args);
    expect(stderr).toMatch(says);
    expect(status).toBe(2);
  });
});

describe('a folder to build in', () => {
  it('is the same each time, another one while it is in use, and free again when its owner has ended', async () => {
    const parent = join(scratch, 'work');
    const first = await WorkFolder.take(parent);
    await writeFile(join(first.path, 'object.o'), '');
    const second = await WorkFolder.take(parent);
    expect([first.path, second.path]).toEqual([join(parent, 'work-0'), join(parent, 'work-1')]);
    await first[Symbol.asyncDispose]();
    expect(existsSync(first.path)).toBe(false);
    const again = await WorkFolder.take(parent);
    expect(again.path).toBe(first.path);
    await again[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    await writeFile(join(parent, 'work-0.lock'), String(gone));
    await using inherited = await WorkFolder.take(parent);
    expect(inherited.path).toBe(first.path);
  });
});

const source = join(cacheFolder(), 'source/optee-os-sid');
const missing = await findBuildTools().then(
  () => (existsSync(source) ? undefined : 'no source yet: normalworld optee build'),
  (error: unknown) => String(error),
);

describe.skipIf(missing !== undefined)(`a build${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  it('that OP-TEE rejects ends with its error message, and leaves nothing behind', async () => {
    // OP-TEE's makefiles want no address space randomisation with the sanitizer.
    const options: BuildOptions = {
      suite: 'sid',
      reservedShm: true,
      dynamicShm: true,
      set: ['CFG_CORE_SANITIZE_KADDRESS=y', 'CFG_CORE_ASLR=y'].map(parseBuildVariable),
    };
    const said: string[] = [];
    const progress = { say: (step: string) => void said.push(step), compiled: () => {} };
    await expect(buildOptee(options, { jobs: 1 }, progress)).rejects.toThrow(
      /^OP-TEE could not be built; the full output is in \/.*\.log:\n.*CFG_CORE_ASLR/s,
    );
    expect(said).toEqual([expect.stringMatching(/^building sid-CORE_ASLR=y-CORE_SANITIZE_KADDRESS=y: OP-TEE OS 4\./)]);
    expect(await builtOptee('sid-CORE_ASLR=y-CORE_SANITIZE_KADDRESS=y')).toBeUndefined();
  });
});
