import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { namingFile } from './name-file-in-errors.js';

/** What is read at most unless a caller says otherwise: 256 MiB, more than an OP-TEE with its symbols has. Octets. */
const longestFile = 2 ** 28;
const smallestPiece = 65_536;

/** A path names something else than a file of a sensible length. The message names the path. */
export class RegularFileError extends Error {
  override readonly name = 'RegularFileError';
  /** As the system would say it. */
  readonly code: 'EISDIR' | 'EINVAL' | 'EFBIG';

  constructor(path: string | URL, code: 'EISDIR' | 'EINVAL' | 'EFBIG', fault: string) {
    super(`${nameOf(path)}: ${fault}`);
    this.code = code;
  }
}

/**
 * The whole of a regular file, for paths that a program made up itself or found in a folder: what stands there may be a FIFO,
 * which is not waited for, or a device without end, which is not read.
 * @param most octets.
 * @throws RegularFileError; the system's error when it cannot be opened or read. Each names the path.
 */
export async function readRegularFile(path: string | URL, most = longestFile): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const size = pieceSizeOf(path, await file.stat(), most);
    const pieces = new Pieces(path, most);
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

/** The same, of a text in UTF-8. */
export async function readRegularText(path: string | URL, most = longestFile): Promise<string> {
  return (await readRegularFile(path, most)).toString();
}

/** The same as readRegularFile, before anything else of this process goes on. */
export function readRegularFileSync(path: string | URL, most = longestFile): Buffer {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const size = pieceSizeOf(path, fstatSync(file), most);
    const pieces = new Pieces(path, most);
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

/** A file in /proc or /sys has length 0 until it is read; a file that is written meanwhile grows. */
class Pieces {
  private readonly pieces: Buffer[] = [];
  private length = 0;

  constructor(
    private readonly path: string | URL,
    private readonly most: number,
  ) {}

  /** @returns false when that was the end. */
  take(piece: Buffer): boolean {
    if (piece.length === 0) return false;
    this.length += piece.length;
    if (this.length > this.most) throw tooLong(this.path, this.most);
    this.pieces.push(piece);
    return true;
  }

  whole(): Buffer {
    return this.pieces.length === 1 ? (this.pieces[0] as Buffer) : Buffer.concat(this.pieces, this.length);
  }
}

const nameOf = (path: string | URL) => (path instanceof URL ? fileURLToPath(path) : path);
