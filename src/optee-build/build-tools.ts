import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The tools for a build of OP-TEE on this machine. */
export interface BuildTools {
  /** Prefix of the cross compiler's programs, after ccache if that is installed. */
  readonly crossCompile: string;
  readonly ccache: boolean;
  /** A Python interpreter with the modules that OP-TEE's scripts import. */
  readonly python: string;
}

const prefix = 'aarch64-linux-gnu-';

const programs: readonly (readonly [program: string, args: readonly string[], debianPackage: string])[] = [
  ['make', ['--version'], 'make'],
  [`${prefix}gcc`, ['--version'], 'gcc-aarch64-linux-gnu'],
  [`${prefix}ld`, ['--version'], 'binutils-aarch64-linux-gnu'],
  ['dpkg-source', ['--version'], 'dpkg-dev'],
  ['dtc', ['--version'], 'device-tree-compiler'],
];
const modules = ['elftools', 'cryptography'];
const modulePackages = ['python3-pyelftools', 'python3-cryptography'];
/** python3 in PATH may be another installation, without Debian's modules. */
const pythons = ['python3', '/usr/bin/python3'];

/**
 * Find the tools of a build.
 * @throws Error naming everything that is missing, and how to install it.
 */
export async function findBuildTools(): Promise<BuildTools> {
  const missing: string[] = [];
  for (const [program, args, debianPackage] of programs) if (!(await works(program, args))) missing.push(debianPackage);
  let python: string | undefined;
  for (const each of pythons)
    if (python === undefined && (await works(each, ['-c', `import ${modules}`]))) python = each;
  if (python === undefined) missing.push(...modulePackages);
  if (missing.length > 0 || python === undefined)
    throw new Error(`building OP-TEE needs more; as root: apt-get install ${missing.join(' ')}`);
  const ccache = await works('ccache', ['--version']);
  return { crossCompile: ccache ? `ccache ${prefix}` : prefix, ccache, python };
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(program, args);
    return true;
  } catch {
    return false;
  }
}
