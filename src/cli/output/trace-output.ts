import { TraceFile } from '../../trace/node/trace-file.js';
import { OutputError } from './write-output.js';

/** Open the trace file that a command records. @throws OutputError if it cannot be written. */
export function openTrace(path: string): TraceFile {
  try {
    return new TraceFile(path);
  } catch (error) {
    throw new OutputError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Close the trace files of a command. @throws OutputError if one of them is incomplete. */
export function closeTraces(files: readonly TraceFile[]): void {
  for (const file of files) file.close();
  for (const { path, failure } of files)
    if (failure !== undefined) throw new OutputError(`${path}: ${failure.message}`, { cause: failure });
}
