import { open } from 'node:fs/promises';
import { nameFileInErrors } from './name-file-in-errors.js';
import { Pieces } from './pieces.js';

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
    const tooLong = () => new FileLengthError(most);
    if (stats.isFile() && stats.size > most) throw tooLong();
    const pieces = new Pieces(most, tooLong);
    for (;;) {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(pieceSize), 0, pieceSize, null);
      if (!pieces.take(buffer.subarray(0, bytesRead))) return pieces.whole();
    }
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
