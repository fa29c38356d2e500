import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { fetchKernel, kernelsFolder, unpackOnce } from '../../linux/kernel/packages.js';
import { initramfs } from './initramfs.js';

const here = dirname(fileURLToPath(import.meta.url));
const firmware = join(here, '../../firmware');
const optee = opteeFolder();

/** Programs that the machine needs, and their packages. */
const buildPrograms = [
  ['make', 'make'],
  ['aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu'],
  ['fdtput', 'device-tree-compiler'],
  ['xz', 'xz-utils'],
];
/** Packages in the guest. The shell is for a test that starts a second process. */
const guestPackages = ['tee-supplicant', 'libteec2', 'libc6', 'dash'];
const crossLibc = '/usr/aarch64-linux-gnu/lib/libc.a';

/** LINUX in linux.S, with room for its 40 MB. */
const kernelAddress = 0x4400_0000;
const initrdAddress = 0x4800_0000;
/** firmware/layout.h */
const mailboxAddress = 0x4010_0000;
const stagingAddress = 0x4100_0000;

const machineOf = ({ memory = '512M' }) => [
  ...['-M', 'virt,secure=on,gic-version=3,its=off,acpi=off'],
  ...['-m', memory, '-cpu', 'cortex-a57', '-smp', '2'],
];

/**
 * The content of a Linux guest.
 * @typedef {object} Guest
 * @property {string} init a C file, relative to this folder; built with guest.c.
 * @property {readonly string[]} words arguments of init.
 * @property {ReadonlyMap<string, string>} files further files: path in the guest, path on this machine.
 * @property {readonly string[]} trustedApplications folders with TAs; the first that has a TA is used.
 * @property {string} [world] the monitor's normal world: an assembler file beside this one; linux.S by default.
 * @property {string} [kernel] "6.12" by default.
 * @property {string} [optee] a built optee.ko in place of the kernel's own.
 * @property {string} [memory] size of RAM; "512M" by default.
 * @property {readonly string[]} [secureUart] QEMU's arguments for OP-TEE's console; discarded by default.
 */

const temporaryFolders = [];
process.on('exit', () => {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true });
});

/**
 * Prepare everything that Debian's Linux needs to boot on our monitor: packages (once), monitor, init, initramfs,
 * device tree.
 * @param {(text: string) => void} say
 * @param {Guest} guest
 * @returns {Promise<string[]>} QEMU's arguments; UART0 is standard output.
 */
export async function prepareLinux(say, guest) {
  const missing = buildPrograms.filter(([program]) => spawnSync(program, ['--version']).error !== undefined);
  const packages = missing.map(([, name]) => name);
  if (!existsSync(crossLibc)) packages.push('libc6-dev-arm64-cross');
  if (packages.length > 0) throw new Error(`missing: apt-get install ${packages.join(' ')}`);
  if (!existsSync(optee.image)) throw new Error('no OP-TEE: npx normalworld optee fetch');

  const kernel = await fetchKernel(guest.kernel ?? '6.12', say);
  const programs = join(kernelsFolder(), 'programs');
  await unpackOnce('trixie', guestPackages, programs, () => say('downloading tee-supplicant for arm64'));
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-linux-'));
  temporaryFolders.push(folder);
  const image = (name) => join(folder, name);
  const world = guest.world ?? 'linux.S';
  const run = (program, ...args) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  run(
    ...['make', '-C', firmware, `BUILD=${image(world)}`, `IMAGE=${image(`${world}.bin`)}`],
    `WORLD=${join(here, world)}`,
  );
  const sources = [guest.init, 'guest.c'].map((name) => resolve(here, name));
  run('aarch64-linux-gnu-gcc', '-O2', '-static', '-pthread', '-I', here, '-o', image('init'), ...sources);
  writeFileSync(image('initrd.cpio'), firstFileSystem(kernel, programs, image('init'), guest));

  const opteeSize = Math.ceil(readFileSync(optee.image).length / 16) * 16;
  const initrdSize = readFileSync(image('initrd.cpio')).length;
  const common = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-nic', 'none', '-accel', 'tcg,thread=multi,tb-size=128'],
    ...['-bios', image(`${world}.bin`)],
  ];
  const machine = machineOf(guest);
  const tree = image('tree.dtb');
  run('qemu-system-aarch64', ...common, '-M', `${machine[1]},dumpdtb=${tree}`, ...machine.slice(2));
  describeMachine(tree, initrdSize, guest.words);
  const load = (file, address) => ['-device', `loader,file=${file},addr=${address},force-raw=on`];
  return [
    ...machine,
    ...common,
    ...['-dtb', tree, '-serial', 'stdio', ...(guest.secureUart ?? ['-serial', 'null']), '-monitor', 'none'],
    ...load(optee.image, stagingAddress),
    ...['-device', `loader,addr=${mailboxAddress},data=${opteeSize},data-len=4`],
    ...load(kernel.image, kernelAddress),
    ...load(image('initrd.cpio'), initrdAddress),
  ];
}

/** QEMU's device tree, with the nodes that QEMU leaves out if a firmware is given: PSCI, and Linux's parameters. */
function describeMachine(tree, initrdSize, words) {
  const put = (...args) => execFileSync('fdtput', args);
  put('-c', tree, '/psci');
  put('-t', 's', tree, '/psci', 'compatible', 'arm,psci-1.0', 'arm,psci-0.2');
  put('-t', 's', tree, '/psci', 'method', 'smc');
  for (const cpu of ['/cpus/cpu@0', '/cpus/cpu@1']) put('-t', 's', tree, cpu, 'enable-method', 'psci');
  put('-t', 's', tree, '/chosen', 'bootargs', `console=ttyAMA0 quiet rdinit=/init -- ${words.join(' ')}`);
  put('-t', 'x', tree, '/chosen', 'linux,initrd-start', initrdAddress.toString(16));
  put('-t', 'x', tree, '/chosen', 'linux,initrd-end', (initrdAddress + initrdSize).toString(16));
}

/** The modules that a module depends on, in load order. */
function neededModules(kernel, module) {
  const all = readdirSync(kernel.modules, { recursive: true });
  const text = execFileSync('xz', ['--decompress', '--stdout', module], { maxBuffer: 1 << 26, encoding: 'latin1' });
  const names = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? '';
  return [
    ...new Set(
      names
        .split(',')
        .filter((name) => name !== '')
        .flatMap((name) => {
          const found = all.find(
            (path) => basename(path).replaceAll('-', '_') === `${name.replaceAll('-', '_')}.ko.xz`,
          );
          if (found === undefined)
            throw new Error(`Linux ${kernel.release} has no module ${name}, which ${module} needs`);
          const path = join(kernel.modules, found);
          return [...neededModules(kernel, path), path];
        }),
    ),
  ];
}

function firstFileSystem(kernel, programs, init, guest) {
  const modules = join(kernel.modules, 'drivers/tee');
  const libraries = join(programs, 'usr/lib/aarch64-linux-gnu');
  const files = new Map([
    ['/init', readFileSync(init)],
    ...neededModules(kernel, join(modules, 'optee/optee.ko.xz')).map((path, index) => [
      `/needed-${index}.ko.xz`,
      readFileSync(path),
    ]),
    guest.optee === undefined
      ? ['/optee.ko.xz', readFileSync(join(modules, 'optee/optee.ko.xz'))]
      : ['/optee.ko', readFileSync(guest.optee)],
    ['/bin/sh', readFileSync(join(programs, 'usr/bin/dash'))],
    ['/usr/sbin/tee-supplicant', readFileSync(join(programs, 'usr/sbin/tee-supplicant'))],
    ['/lib/ld-linux-aarch64.so.1', readFileSync(join(libraries, 'ld-linux-aarch64.so.1'))],
    ['/lib/libc.so.6', readFileSync(join(libraries, 'libc.so.6'))],
    ['/lib/libteec.so.2', readFileSync(join(libraries, 'libteec.so.2'))],
  ]);
  for (const folder of guest.trustedApplications.toReversed())
    for (const name of readdirSync(folder)) files.set(`/lib/optee_armtz/${name}`, readFileSync(join(folder, name)));
  for (const [path, source] of guest.files) files.set(path, readFileSync(source));
  return initramfs(files, [
    '/dev',
    '/proc',
    '/tmp',
    '/var/lib/optee-client/data/tee',
    '/usr/lib/tee-supplicant/plugins',
  ]);
}
