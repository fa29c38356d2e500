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

/** A file cannot be written where it was asked for; the message names it. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
}

/** Octets that are written at once. */
const pieceSize = 1 << 20;

/** @throws OutputError when `path` is one of the files that are read, by whatever name. */
export function refuseInputAsOutput(path: string, inputs: readonly string[]): void {
  const out = statOf(path);
  if (out === undefined) return;
  for (const input of inputs) {
    const from = input === '-' ? fstatSync(0) : statOf(input);
    if (from?.isFile() === true && from.dev === out.dev && from.ino === out.ino)
      throw new OutputError(`${path}: this is the input file${input === path ? '' : ` (${input})`}; name another`);
  }
}

/** @throws OutputError when two outputs are to go into one file, be it there or not. */
export function refuseSameOutput(path: string, flag: string, other: string, otherFlag: string): void {
  const [one, two] = [statOf(path), statOf(other)];
  const same =
    one === undefined || two === undefined
      ? resolve(path) === resolve(other)
      : one.isFile() && one.dev === two.dev && one.ino === two.ino;
  if (same) throw new OutputError(`${path}: ${otherFlag} and ${flag} would both write it`);
}

/**
 * Write a file whole or not at all: into a file beside it, which then takes its name. What is no file (a device, a pipe) is
 * written to as it is.
 * @param inputs the files that are read: none of them is written to.
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

/** Write into a file that is open, and close it. */
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

/** Nothing where there is none, or none that can be: opening it says why. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Make a folder for files that are written, with those above it. @throws OutputError */
export function makeOutputFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new OutputError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** The same for a command: what is wrong goes to standard error and into the exit code. @returns whether it is written. */
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
