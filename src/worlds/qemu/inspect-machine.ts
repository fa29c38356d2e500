import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { fetchedPackages } from '../../debian/fetch-folders.js';
import type { OpteeFolder } from './optee-folder.js';
import { doubtsAbout } from './optee-image.js';
import { readOpteeImage } from './read-optee-image.js';

const run = promisify(execFile);

/** Limit in milliseconds for a program to print its version. */
const versionLimitMs = 10_000;

/** The state of one requirement of the QEMU world. */
export interface Finding {
  readonly what: string;
  /** `present` or `missing` for a requirement; `optional` for something that is missing but not required. */
  readonly state: 'present' | 'missing' | 'optional';
  /** A description, or how to get it. */
  readonly detail: string;
}

export interface InspectOptions {
  readonly folder: OpteeFolder;
  /** The user's own image. Default: the one in the folder. */
  readonly image?: string | undefined;
  /** The user's own trusted applications. Default: those in the folder. */
  readonly trustedApplications?: string | undefined;
  /** QEMU's program (default: qemu-system-aarch64). */
  readonly qemu?: string | undefined;
}

const fetchCommand = 'npx normalworld optee fetch';

/** Examine all requirements of the QEMU world: which are present, which are missing, and how to get those. */
export async function inspectMachine(options: InspectOptions): Promise<Finding[]> {
  return [
    await qemu(options.qemu ?? 'qemu-system-aarch64'),
    await findProgram('setpriv', ['--version'], 'apt-get install util-linux', 'missing'),
    await image(options),
    await trustedApplications(options),
    await findProgram(
      'aarch64-linux-gnu-gcc',
      ['--version'],
      'apt-get install gcc-aarch64-linux-gnu: needed only to build the firmware',
      'optional',
    ),
  ];
}

/** Find a program by running it. */
export async function findProgram(
  name: string,
  args: string[],
  how: string,
  otherwise: 'missing' | 'optional',
): Promise<Finding> {
  try {
    const { stdout } = await run(name, args, { timeout: versionLimitMs, killSignal: 'SIGKILL' });
    return { what: name, state: 'present', detail: stdout.split('\n')[0] ?? '' };
  } catch (error) {
    const isLate = (error as { readonly killed?: boolean }).killed === true;
    const late = `${[name, ...args].join(' ')} did not end within ${versionLimitMs / 1000} s: `;
    return { what: name, state: otherwise, detail: `${isLate ? late : ''}${how}` };
  }
}

const oldestQemu = 7;

async function qemu(name: string): Promise<Finding> {
  const found = await findProgram(
    name,
    ['--version'],
    `apt-get install qemu-system-arm, or ${fetchCommand}`,
    'missing',
  );
  const major = Number(/version (\d+)/.exec(found.detail)?.[1]);
  if (found.state !== 'present' || major >= oldestQemu) return found;
  return { ...found, state: 'missing', detail: `${found.detail}: version ${oldestQemu} or later is needed` };
}

async function image({ folder, image = folder.image }: InspectOptions): Promise<Finding> {
  const what = 'OP-TEE OS';
  try {
    const { image: bytes } = await readOpteeImage(image);
    const [doubt] = doubtsAbout(bytes);
    if (doubt !== undefined) return { what, state: 'missing', detail: `${image} is probably not an OP-TEE: ${doubt}` };
    const own = image !== folder.image;
    const versions = own ? [] : (await fetchedPackages(folder.path)).map(({ name, version }) => `${name} ${version}`);
    return { what, state: 'present', detail: [`${image} (${bytes.length} bytes)`, ...versions].join(', ') };
  } catch (error) {
    // The message of a RangeError about an image includes the remedy.
    if (error instanceof RangeError) return { what, state: 'missing', detail: `${image}: ${error.message}` };
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? `no ${image}` : (error as Error).message;
    const how = `${fetchCommand}, or give the tee-pager_v2.bin of your own build for PLATFORM=vexpress-qemu_armv8a`;
    return { what, state: 'missing', detail: `${why}: ${how}` };
  }
}

async function trustedApplications({
  folder,
  trustedApplications = folder.trustedApplications,
}: InspectOptions): Promise<Finding> {
  const what = 'trusted applications';
  const names = (await readdir(trustedApplications).catch(() => [])).filter((name) => name.endsWith('.ta'));
  if (names.length > 0) return { what, state: 'present', detail: `${names.length} in ${trustedApplications}` };
  return {
    what,
    state: 'optional',
    detail: `no *.ta in ${trustedApplications}: ${fetchCommand}, or give your own folder`,
  };
}
