import { fstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { makeFolderSync } from '../../files/make-folder.js';
import { statOf, writeWholeSync } from '../../files/write-whole.js';
import { badUsage } from './exit-code.js';

/** An output file cannot be written; the message names it. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
}

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
 * Write a file atomically and durably (writeWholeSync).
 * @param inputs files that are read and must not be overwritten.
 * @throws OutputError
 */
export function writeOutput(path: string, inputs: readonly string[], pieces: Iterable<string | Uint8Array>): void {
  refuseInputAsOutput(path, inputs);
  try {
    writeWholeSync(path, pieces, { durable: true });
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const { message } = error;
    throw new OutputError(message.startsWith(`${path}: `) ? message : `${path}: ${message}`, { cause: error });
  }
}

/** Create an output folder with its parents. @throws OutputError */
export function makeOutputFolder(path: string): void {
  try {
    makeFolderSync(path);
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
