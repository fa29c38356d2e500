import { type FileHandle, open } from 'node:fs/promises';
import { nameFileInErrors } from './name-file-in-errors.js';

const pieceSize = 65_536;

/** A file is longer than anything that is wanted there; it may have no end, as a device. The message does not name it. */
export class FileLengthError extends RangeError {
  override readonly name = 'FileLengthError';

  constructor(readonly most: number) {
    super(`it has more than ${most} bytes`);
  }
}

/**
 * The whole of a file, a pipe or a device.
 * @param most octets.
 * @throws FileLengthError when there are more; the system's error when it cannot be read.
 */
export async function readUpTo(path: string, most: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return Buffer.concat(await pieces(file, most));
    if (stats.size > most) throw new FileLengthError(most);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** The same, with the file's name in the errors. @throws RangeError when there is more than that; the system's error. */
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
