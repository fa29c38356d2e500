/**
 * Reads a file by `read`, whose errors then name it: those of the operating system that come once a file is open do not, as
 * EISDIR of a folder.
 */
export async function nameFileInErrors<Result>(path: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    throw namingFile(path, error);
  }
}

/** The same error, with the file in its message where it is one of the operating system's. */
export function namingFile(path: string, error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error) || error.message.includes(`'${path}'`)) return error;
  const isFolder = (error as NodeJS.ErrnoException).code === 'EISDIR';
  error.message = `${path}: ${isFolder ? 'it is a folder, not a file' : error.message}`;
  return error;
}
