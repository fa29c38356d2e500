import { type FileHandle, open } from 'node:fs/promises';
import { nameFileInErrors } from './name-file-in-errors.js';

const pieceSize = 65_536;

/** A file is longer than permitted; a device may be endless. The message does not name the file. */
export class FileLengthError extends RangeError {
  override readonly name = 'FileLengthError';

  constructor(readonly most: number) {
    super(`it has more than ${most} bytes`);
  }
}

/**
 * Read a whole file, pipe or device.
 * @param most the largest permitted size, in octets.
 * @throws FileLengthError if it is larger; the system's error if it cannot be read.
 */
export async function readUpTo(path: string, most: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const stats = await file.stat();
    // A file of /proc or /sys has length 0 however much it holds, and some have no end.
    if (!stats.isFile() || stats.size === 0) return Buffer.concat(await pieces(file, most));
    if (stats.size > most) throw new FileLengthError(most);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/**
 * The same, with the file's path in errors. @throws RangeError if it is larger; the system's error if it cannot be
 * read.
 */
export function readWhole(path: string, most: number): Promise<Buffer> {
  return nameFileInErrors(path, () => readUpTo(path, most)).catch((error: unknown) => {
    throw error instanceof FileLengthError ? new RangeError(`${path}: ${error.message}`) : error;
  });
}

async function pieces(file: FileHandle, most: number): Promise<readonly Buffer[]> {
  const all: Buffer[] = [];
  for (let total = 0; ; ) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(pieceSize), 0, pieceSize, null);
    if (bytesRead === 0) return all;
    total += bytesRead;
    if (total > most) throw new FileLengthError(most);
    all.push(buffer.subarray(0, bytesRead));
  }
}
