import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The tools that the build of a trusted application needs. */
export interface TaTools {
  /** Prefix of the cross compiler's programs. */
  readonly crossCompile: string;
  /** A Python that has the module for signing images. */
  readonly python: string;
}

/** On arm64 the native compiler is used. */
const prefix = process.env.CROSS_COMPILE ?? (process.arch === 'arm64' ? '' : 'aarch64-linux-gnu-');
/** The Python in PATH may not be the distribution's, and then lacks its modules. */
const pythons = ['python3', '/usr/bin/python3'];
let found: Promise<TaTools> | undefined;

/**
 * Find the tools that the build of a trusted application needs.
 * @throws Error naming everything that is missing, and how to get it.
 */
export function findTaTools(): Promise<TaTools> {
  found ??= look().catch((error: unknown) => {
    // Try again next time: the tools may be installed by then.
    found = undefined;
    throw error;
  });
  return found;
}

async function look(): Promise<TaTools> {
  const compiler = process.arch === 'arm64' && prefix === '' ? 'gcc' : 'gcc-aarch64-linux-gnu';
  const missing: string[] = [];
  if (!(await works('make', ['--version']))) missing.push('make');
  if (!(await works(`${prefix}gcc`, ['--version']))) missing.push(compiler);
  let python: string | undefined;
  for (const each of pythons)
    if (python === undefined && (await works(each, ['-c', 'import cryptography']))) python = each;
  if (python === undefined) missing.push('python3-cryptography');
  if (missing.length > 0 || python === undefined)
    throw new Error(`building a trusted application needs more; as root: apt-get install ${missing.join(' ')}`);
  return { crossCompile: prefix, python };
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}
