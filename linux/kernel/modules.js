import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { unpackPackages } from '../../dist/debian/fetch-folders.js';
import { replaceCallQueue } from './call-queue-source.js';
import { packagesOf, unpackOnce } from './packages.js';

const run = promisify(execFile);
const handOff = fileURLToPath(new URL('../hand-off/', import.meta.url));
const client = fileURLToPath(new URL('../client/', import.meta.url));

/** Programs that the kernel's build needs, and their Debian packages. */
const programs = [
  ['aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu'],
  ['make', 'make'],
  ['flex', 'flex'],
  ['bison', 'bison'],
  ['bc', 'bc'],
  // Without pahole, the kernel's configuration loses BTF, which changes the layout of structures shared with modules.
  ['pahole', 'dwarves'],
  ['xz', 'xz-utils'],
];
const headers = [
  ['/usr/include/libelf.h', 'libelf-dev'],
  ['/usr/include/openssl/opensslv.h', 'libssl-dev'],
];

/**
 * Parts of the kernel's source that are not unpacked: they are most of it, and the build of two small modules does not
 * need them. The TEE subsystem is unpacked afterwards.
 */
const leftOut = [
  '*/Documentation/*/*',
  '*/drivers/*/*.c',
  '*/drivers/gpu/*.h',
  '*/sound/*.c',
  '*/net/*/*.c',
  '*/fs/*/*.c',
];

/**
 * Our kernel modules for one kernel.
 * @typedef {object} Modules
 * @property {string} client linux/client: a TEE client in the kernel that is controlled through a device file.
 * @property {string} optee the kernel's own driver with the hand-off queue in place of its queue.
 */

/**
 * Build the modules of linux/client and linux/hand-off for a kernel, unless they were built from the same sources
 * before. The kernel's source, configuration and symbol versions come from Debian's packages.
 * @param {Kernel} kernel
 * @param {(text: string) => void} say
 * @returns {Promise<Modules>}
 * @throws Error naming missing packages, or with the last output of a failed build.
 */
export async function buildModules(kernel, say) {
  await checkPrograms();
  const tree = await prepareTree(kernel, say);
  const built = (name, files) => buildOnce({ kernel, tree, say, name, files });
  const queue = ['call_queue.c', 'call_queue.h'].map((name) => [name, readFileSync(join(handOff, name), 'utf8')]);
  return {
    client: await built('tee_kernel_client', filesIn(client)),
    optee: await built('optee', replaceCallQueue(filesIn(join(tree, 'drivers/tee/optee')), new Map(queue))),
  };
}

async function checkPrograms() {
  const missing = headers.filter(([path]) => !existsSync(path)).map(([, name]) => name);
  for (const [program, name] of programs) await run(program, ['--version']).catch(() => missing.push(name));
  if (missing.length > 0) throw new Error(`missing: apt-get install ${missing.join(' ')}`);
}

/** The kernel's source with the configuration of Debian's kernel, prepared for external modules. */
async function prepareTree(kernel, say) {
  const { suite, headers: pattern, source } = packagesOf(kernel.version);
  const [tree, unpacked] = ['tree', 'headers'].map((name) => join(kernel.folder, name));
  const complete = join(tree, '.prepared');
  if (existsSync(complete) && readFileSync(complete, 'utf8') === kernel.release) return tree;
  await unpackOnce(suite, [pattern], unpacked, () => say(`downloading the headers of Linux ${kernel.version}`));
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree, { recursive: true });
  const archives = join(kernel.folder, 'source');
  say(`downloading the source of Linux ${kernel.version} (150 MB)`);
  await unpackPackages(suite, [source], archives);
  const archive = join(archives, 'usr/src', `${source}.tar.xz`);
  say('unpacking it');
  const unpack = (...args) => run('tar', ['-C', tree, '--strip-components=1', '--wildcards', '-xf', archive, ...args]);
  await unpack(...leftOut.map((pattern) => `--exclude=${pattern}`));
  await unpack('*/drivers/tee/*');
  rmSync(archives, { recursive: true });
  const from = join(unpacked, 'usr/src', `linux-headers-${kernel.release}`);
  if (!existsSync(from)) throw new Error(`the headers are not those of Linux ${kernel.release}: try again later`);
  for (const name of ['.config', 'Module.symvers']) cpSync(join(from, name), join(tree, name));
  say("building the kernel's own tools (some minutes)");
  for (const target of ['olddefconfig', 'modules_prepare']) await make(kernel, tree, target);
  writeFileSync(complete, kernel.release);
  return tree;
}

async function buildOnce({ kernel, tree, say, name, files }) {
  const folder = join(kernel.folder, name);
  const module = join(folder, `${name}.ko`);
  const hash = createHash('sha256')
    .update(JSON.stringify([kernel.release, [...files].sort()]))
    .digest('hex');
  const key = join(folder, '.built');
  if (existsSync(module) && existsSync(key) && readFileSync(key, 'utf8') === hash) return module;
  say(`building ${name}.ko for Linux ${kernel.release}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [path, text] of files) writeFileSync(join(folder, path), text);
  await make(kernel, tree, `M=${folder}`, 'modules');
  writeFileSync(key, hash);
  return module;
}

async function make(kernel, tree, ...args) {
  const kbuild = ['ARCH=arm64', 'CROSS_COMPILE=aarch64-linux-gnu-', `KERNELRELEASE=${kernel.release}`];
  const options = ['-C', tree, `-j${availableParallelism()}`, ...kbuild, ...args];
  try {
    await run('make', options, { maxBuffer: 1 << 26 });
  } catch (error) {
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`.split('\n').slice(-30).join('\n');
    throw new Error(`make ${args.join(' ')} for Linux ${kernel.release} failed:\n${said}`);
  }
}

/** The sources directly in a folder, by name. */
function filesIn(folder) {
  const names = readdirSync(folder).filter(
    (name) => /^(Kbuild|Makefile|.*\.[ch])$/.test(name) && !name.endsWith('.mod.c'),
  );
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}
