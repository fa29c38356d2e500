import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { badUsage } from './exit-code.js';

/** An output file cannot be written; the message names it. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
}

/** Number of octets per write. */
const pieceSize = 1 << 20;

/** @throws OutputError if `path` is one of the input files, also under another name. */
export function refuseInputAsOutput(path: string, inputs: readonly string[]): void {
  const out = statOf(path);
  if (out === undefined) return;
  for (const input of inputs) {
    const from = input === '-' ? fstatSync(0) : statOf(input);
    if (from?.isFile() === true && from.dev === out.dev && from.ino === out.ino)
      throw new OutputError(`${path}: this is the input file${input === path ? '' : ` (${input})`}; name another`);
  }
}

/** @throws OutputError if two outputs have the same path, whether the file exists or not. */
export function refuseSameOutput(path: string, flag: string, other: string, otherFlag: string): void {
  const [one, two] = [statOf(path), statOf(other)];
  const same =
    one === undefined || two === undefined
      ? resolve(path) === resolve(other)
      : one.isFile() && one.dev === two.dev && one.ino === two.ino;
  if (same) throw new OutputError(`${path}: ${otherFlag} and ${flag} would both write it`);
}

/**
 * Write a file atomically: into a temporary file beside it, which is then renamed. Devices and pipes are written
 * directly.
 * @param inputs files that are read and must not be overwritten.
 * @throws OutputError
 */
export function writeOutput(path: string, inputs: readonly string[], pieces: Iterable<string | Uint8Array>): void {
  refuseInputAsOutput(path, inputs);
  const before = statOf(path);
  try {
    if (before !== undefined && !before.isFile()) writeAll(openSync(path, 'w'), pieces);
    else replace(before === undefined ? path : realpathSync(path), before, pieces);
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new OutputError(`${path}: ${error.message}`, { cause: error });
  }
}

function replace(path: string, before: Stats | undefined, pieces: Iterable<string | Uint8Array>): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const fd = openSync(temporary, 'wx');
  try {
    writeAll(fd, pieces);
    if (before !== undefined) chmodSync(temporary, before.mode & 0o7777);
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
}

/** Write to an open file and close it. */
function writeAll(fd: number, pieces: Iterable<string | Uint8Array>): void {
  try {
    let chunks: Uint8Array[] = [];
    let size = 0;
    const flush = () => {
      const bytes = Buffer.concat(chunks);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      chunks = [];
      size = 0;
    };
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
      chunks.push(bytes);
      size += bytes.length;
      if (size >= pieceSize) flush();
    }
    flush();
    if (fstatSync(fd).isFile()) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Undefined if the path does not exist or cannot be inspected; opening it reports the error. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Create an output folder with its parents. @throws OutputError */
export function makeOutputFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new OutputError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** The same for a command: errors are printed and set the exit code. @returns whether the file was written. */
export function writeOrSayWhy(out: string, inputs: readonly string[], pieces: Iterable<string | Uint8Array>): boolean {
  try {
    writeOutput(out, inputs, pieces);
    return true;
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = badUsage;
    return false;
  }
}
