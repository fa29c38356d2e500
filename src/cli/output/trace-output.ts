import { TraceFile } from '../../trace/node/trace-file.js';
import { OutputError } from './write-output.js';

/** A trace that a command records. @throws OutputError when it cannot be written. */
export function openTrace(path: string): TraceFile {
  try {
    return new TraceFile(path);
  } catch (error) {
    throw new OutputError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Close what a command recorded. @throws OutputError when one of them could not be written to its end. */
export function closeTraces(files: readonly TraceFile[]): void {
  for (const file of files) file.close();
  for (const { path, failure } of files)
    if (failure !== undefined) throw new OutputError(`${path}: ${failure.message}`, { cause: failure });
}
