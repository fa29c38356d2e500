import { closeSync, constants, fstatSync, openSync } from 'node:fs';

const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK } = constants;

/**
 * Open a file for writing, and empty it. open(2) waits until a FIFO has a reader; this function does not.
 * @returns a descriptor whose writes block.
 * @throws the file system's error; an error with code ENXIO if the path is a FIFO that no process reads.
 */
export function openForWriting(path: string): number {
  const descriptor = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK);
  if (!fstatSync(descriptor).isFIFO()) return descriptor;
  // It has a reader, so this does not wait.
  try {
    return openSync(path, 'w');
  } finally {
    closeSync(descriptor);
  }
}
