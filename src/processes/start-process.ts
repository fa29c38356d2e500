import { type ChildProcess, fork, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { systemError } from './system-error.js';

/**
 * `spawn` and `fork` of a process that may have no free descriptors. Node then returns an object without streams, loses
 * those that it has opened, and emits an error that ends the process unless somebody listens in time.
 * @throws the system's error EMFILE or ENFILE, which names the program. Other reasons not to start are the child's 'error'
 *   event.
 */
export const startProcess: typeof spawn = ((program: string, args: readonly string[], options: SpawnOptions) => {
  haveDescriptors(program, options);
  return complete(spawn(program, args, options));
}) as typeof spawn;

/** See startProcess. */
export const startModule: typeof fork = ((module: string, options: SpawnOptions) => {
  haveDescriptors(module, options);
  return complete(fork(module, options as object));
}) as typeof fork;

/** A pipe with which Node learns whether the program could be executed. */
const ofSpawn = 2;

/** @throws the system's error if there are not as many free descriptors as the child's streams need. */
function haveDescriptors(program: string, { stdio }: SpawnOptions): void {
  const streams = typeof stdio === 'string' ? [stdio, stdio, stdio] : (stdio ?? ['pipe', 'pipe', 'pipe']);
  const needed = ofSpawn + 2 * streams.filter((each) => each === 'pipe' || each === 'ipc').length;
  const taken: number[] = [];
  try {
    while (taken.length < needed) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw systemError(`${program} could not be started`, -errno);
  } finally {
    for (const descriptor of taken) closeSync(descriptor);
  }
}

/** Another thread may have taken the descriptors meanwhile. */
function complete(child: ChildProcess): ChildProcess {
  // Node's types do not have this case.
  const { stdio }: { readonly stdio?: unknown } = child;
  if (stdio !== undefined) return child;
  child.on('error', () => undefined);
  throw Object.assign(new Error(`${child.spawnfile} could not be started: too many open files`), { code: 'EMFILE' });
}
