import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { namingFile } from './name-file-in-errors.js';
import { Pieces } from './pieces.js';

/** Default size limit in octets: 256 MiB, larger than an OP-TEE with its symbols. */
const longestFile = 2 ** 28;
const smallestPiece = 65_536;

/** The path is not a regular file, or the file is too long. The message names the path. */
export class RegularFileError extends Error {
  override readonly name = 'RegularFileError';
  /** The corresponding error code of the system. */
  readonly code: 'EISDIR' | 'EINVAL' | 'EFBIG';

  constructor(path: string | URL, code: 'EISDIR' | 'EINVAL' | 'EFBIG', fault: string) {
    super(`${nameOf(path)}: ${fault}`);
    this.code = code;
  }
}

/**
 * Read a whole regular file, for paths that a program has constructed or found in a folder. Such a path may be a FIFO, on
 * which a read would block, or an endless device; both are refused.
 * @param most size limit in octets.
 * @throws RegularFileError; the system's error if it cannot be opened or read. Each names the path.
 */
export async function readRegularFile(path: string | URL, most = longestFile): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const size = pieceSizeOf(path, await file.stat(), most);
    const pieces = new Pieces(most, () => tooLong(path, most));
    for (;;) {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(size), 0, size, null);
      if (!pieces.take(buffer.subarray(0, bytesRead))) return pieces.whole();
    }
  } catch (error) {
    throw namingFile(nameOf(path), error);
  } finally {
    await file.close();
  }
}

/** The same for a text in UTF-8. */
export async function readRegularText(path: string | URL, most = longestFile): Promise<string> {
  return (await readRegularFile(path, most)).toString();
}

/** The synchronous variant of readRegularFile. */
export function readRegularFileSync(path: string | URL, most = longestFile): Buffer {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const size = pieceSizeOf(path, fstatSync(file), most);
    const pieces = new Pieces(most, () => tooLong(path, most));
    for (;;) {
      const buffer = Buffer.allocUnsafe(size);
      if (!pieces.take(buffer.subarray(0, readSync(file, buffer)))) return pieces.whole();
    }
  } catch (error) {
    throw namingFile(nameOf(path), error);
  } finally {
    closeSync(file);
  }
}

function pieceSizeOf(path: string | URL, status: Stats, most: number): number {
  if (status.isDirectory()) throw new RegularFileError(path, 'EISDIR', 'it is a folder, not a file');
  if (!status.isFile()) throw new RegularFileError(path, 'EINVAL', 'it is not a regular file');
  if (status.size > most) throw tooLong(path, most);
  return Math.max(status.size, smallestPiece);
}

const tooLong = (path: string | URL, most: number) =>
  new RegularFileError(path, 'EFBIG', `it has more than ${most} bytes`);

const nameOf = (path: string | URL) => (path instanceof URL ? fileURLToPath(path) : path);
