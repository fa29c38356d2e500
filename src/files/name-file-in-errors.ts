/**
 * Calls `read` and adds the file's path to its errors. Errors of the operating system after opening a file, such as
 * EISDIR, do not contain the path.
 */
export async function nameFileInErrors<Result>(path: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    throw namingFile(path, error);
  }
}

/** The same error, with the path added if it is an error of the operating system. */
export function namingFile(path: string, error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error) || error.message.includes(`'${path}'`)) return error;
  const isFolder = (error as NodeJS.ErrnoException).code === 'EISDIR';
  error.message = `${path}: ${isFolder ? 'it is a folder, not a file' : error.message}`;
  return error;
}
