import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unpackPackages } from '../../dist/debian/fetch-folders.js';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { initramfs } from './initramfs.js';

const here = dirname(fileURLToPath(import.meta.url));
const firmware = join(here, '../../firmware');
const optee = opteeFolder();

/** What the machine must have, and the package that has it. */
const programs = [
  ['make', 'make'],
  ['aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu'],
  ['fdtput', 'device-tree-compiler'],
];
/** What the guest has, beside its init. The shell is for a test that starts a second process. */
const guestPackages = [
  '^linux-image-6\\.12\\.[0-9]+\\+deb13-arm64$',
  ...['tee-supplicant', 'libteec2', 'libc6', 'dash'],
];
const crossLibc = '/usr/aarch64-linux-gnu/lib/libc.a';

/** linux.S: where Linux lies; and behind it room for its 40 MB. */
const kernelAddress = 0x4400_0000;
const initrdAddress = 0x4800_0000;
/** firmware/layout.h */
const mailboxAddress = 0x4010_0000;
const stagingAddress = 0x4100_0000;

const machine = [
  '-M',
  'virt,secure=on,gic-version=3,its=off,acpi=off',
  '-m',
  '512M',
  '-cpu',
  'cortex-a57',
  '-smp',
  '2',
];

/**
 * What Linux boots into.
 * @typedef {object} Guest
 * @property {string} init a C file beside this one, built with guest.c.
 * @property {readonly string[]} words that init gets.
 * @property {ReadonlyMap<string, string>} files further files: by absolute path, where they are on this machine.
 * @property {readonly string[]} trustedApplications folders of them; the first that has a TA counts.
 * @property {string} [world] the monitor's normal world: an assembler file beside this one; linux.S unless given.
 */

/**
 * Everything that Debian's Linux needs to boot on our monitor: packages (once), monitor, init, first file system, device
 * tree.
 * @param {(text: string) => void} say
 * @param {Guest} guest
 * @returns {Promise<string[]>} QEMU's arguments; UART0 is standard output.
 */
export async function prepareLinux(say, guest) {
  const missing = programs.filter(([program]) => spawnSync(program, ['--version']).error !== undefined);
  const packages = missing.map(([, name]) => name);
  if (!existsSync(crossLibc)) packages.push('libc6-dev-arm64-cross');
  if (packages.length > 0) throw new Error(`missing: apt-get install ${packages.join(' ')}`);
  if (!existsSync(optee.image)) throw new Error('no OP-TEE: npx normalworld optee fetch');

  const folder = join(dirname(optee.path), 'linux');
  const unpacked = join(folder, 'unpacked');
  const complete = join(folder, 'complete');
  if (!existsSync(complete) || readFileSync(complete, 'utf8') !== JSON.stringify(guestPackages)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(unpacked, { recursive: true });
    say("downloading Debian's Linux for arm64 (93 MB) and tee-supplicant");
    await unpackPackages('trixie', guestPackages, unpacked);
    writeFileSync(complete, JSON.stringify(guestPackages));
  }
  const image = (name) => join(folder, name);
  const world = guest.world ?? 'linux.S';
  const run = (program, ...args) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  run(
    ...['make', '-C', firmware, `BUILD=${image(world)}`, `IMAGE=${image(`${world}.bin`)}`],
    `WORLD=${join(here, world)}`,
  );
  const sources = [guest.init, 'guest.c'].map((name) => join(here, name));
  run('aarch64-linux-gnu-gcc', '-O2', '-static', '-pthread', '-o', image('init'), ...sources);
  writeFileSync(image('initrd.cpio'), firstFileSystem(unpacked, image('init'), guest));

  const opteeSize = Math.ceil(readFileSync(optee.image).length / 16) * 16;
  const initrdSize = readFileSync(image('initrd.cpio')).length;
  const common = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-nic', 'none', '-accel', 'tcg,thread=multi,tb-size=128'],
    ...['-bios', image(`${world}.bin`)],
  ];
  const tree = image('tree.dtb');
  run('qemu-system-aarch64', ...common, '-M', `${machine[1]},dumpdtb=${tree}`, ...machine.slice(2));
  describeMachine(tree, initrdSize, guest.words);
  const load = (file, address) => ['-device', `loader,file=${file},addr=${address},force-raw=on`];
  return [
    ...machine,
    ...common,
    ...['-dtb', tree, '-serial', 'stdio', '-serial', 'null', '-monitor', 'none'],
    ...load(optee.image, stagingAddress),
    ...['-device', `loader,addr=${mailboxAddress},data=${opteeSize},data-len=4`],
    ...load(
      join(
        unpacked,
        'boot',
        readdirSync(join(unpacked, 'boot')).find((name) => name.startsWith('vmlinuz')),
      ),
      kernelAddress,
    ),
    ...load(image('initrd.cpio'), initrdAddress),
  ];
}

/** QEMU's own tree, and what it leaves out when a firmware is given: PSCI, and what Linux is told. */
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

function firstFileSystem(unpacked, init, guest) {
  const [version] = readdirSync(join(unpacked, 'usr/lib/modules'));
  const modules = join(unpacked, 'usr/lib/modules', version, 'kernel/drivers/tee');
  const libraries = join(unpacked, 'usr/lib/aarch64-linux-gnu');
  const files = new Map([
    ['/init', readFileSync(init)],
    ['/tee.ko.xz', readFileSync(join(modules, 'tee.ko.xz'))],
    ['/optee.ko.xz', readFileSync(join(modules, 'optee/optee.ko.xz'))],
    ['/bin/sh', readFileSync(join(unpacked, 'usr/bin/dash'))],
    ['/usr/sbin/tee-supplicant', readFileSync(join(unpacked, 'usr/sbin/tee-supplicant'))],
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
