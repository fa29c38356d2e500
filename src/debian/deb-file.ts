import { makeFolderSync } from '../files/make-folder.js';
import { readRegularFile } from '../files/read-regular-file.js';
import { startProcess } from '../processes/start-process.js';

/** ar(5) */
const globalMagic = '!<arch>\n';
const headerSize = 60;

/**
 * Unpack a Debian package (deb(5)) into a folder, which is created if necessary. Nothing is installed, and no
 * maintainer script is run.
 * @throws Error if it is not a package, or tar cannot be run.
 */
export async function unpackDeb(path: string, into: string): Promise<void> {
  const { name, content } = dataOf(await readRegularFile(path), path);
  const packing = { 'data.tar.xz': '--xz', 'data.tar.gz': '--gzip', 'data.tar.zst': '--zstd', 'data.tar': undefined };
  if (!Object.hasOwn(packing, name)) throw new Error(`${path}: the compression of ${name} is unknown`);
  const option = packing[name as keyof typeof packing];
  makeFolderSync(into);
  await filter('tar', ['--extract', ...(option === undefined ? [] : [option]), '--no-same-owner', '-C', into], content);
}

/** Decompress xz data. */
export function unpackXz(packed: Uint8Array): Promise<Uint8Array> {
  return filter('xz', ['--decompress', '--stdout'], packed);
}

function dataOf(deb: Uint8Array, path: string): { readonly name: string; readonly content: Uint8Array } {
  const text = (from: number, to: number) => new TextDecoder('latin1').decode(deb.subarray(from, to)).trimEnd();
  if (text(0, globalMagic.length) !== globalMagic.trimEnd()) throw new Error(`${path} is not a Debian package`);
  for (let at = globalMagic.length; at + headerSize <= deb.length; ) {
    const name = text(at, at + 16).replace(/\/$/, '');
    const size = Number(text(at + 48, at + 58));
    const start = at + headerSize;
    if (!Number.isInteger(size) || start + size > deb.length) break;
    if (name.startsWith('data.tar')) return { name, content: deb.subarray(start, start + size) };
    // Members of an ar archive are aligned to even offsets.
    at = start + size + (size % 2);
  }
  throw new Error(`${path} is damaged: it has no data`);
}

const needed: Readonly<Record<string, string>> = { xz: 'xz-utils', tar: 'tar (and xz-utils)' };

/** Run a program with `input` on standard input. @returns its standard output. */
function filter(program: string, args: readonly string[], input: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = startProcess(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const [output, errors]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' ? new Error(`${program} is missing: install ${needed[program] ?? program}`) : error,
      ),
    );
    child.once('close', (code) => {
      if (code === 0) resolve(Buffer.concat(output));
      else reject(new Error(`${program} failed: ${Buffer.concat(errors).toString().trim()}`));
    });
    // A program that ends early reports the error itself.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
