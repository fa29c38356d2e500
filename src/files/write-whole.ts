import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { namingFile } from './name-file-in-errors.js';
import { openForWriting } from './open-for-writing.js';

/** Number of octets per write. */
const pieceSize = 1 << 20;

export interface WriteWholeOptions {
  /** Wait until the content is on the disk. Default: false. */
  readonly durable?: boolean;
  /** Permissions of a new file (default: 0666), reduced by the umask. A file that exists keeps its own. */
  readonly mode?: number;
}

/**
 * Write a file atomically: into a temporary file beside it, which is then renamed. So a reader gets the old or the new
 * content, and a full disk leaves the old one. Devices and pipes are written directly.
 * @throws the system's error, with the path in its message.
 */
export function writeWholeSync(
  path: string,
  content: string | Uint8Array | Iterable<string | Uint8Array>,
  { durable = false, mode = 0o666 }: WriteWholeOptions = {},
): void {
  const pieces = typeof content === 'string' || content instanceof Uint8Array ? [content] : content;
  const before = statOf(path);
  try {
    if (before !== undefined && !before.isFile()) writeAll(openForWriting(path), pieces, durable);
    else replace(before === undefined ? path : realpathSync(path), before?.mode, pieces, { durable, mode });
  } catch (error) {
    throw namingFile(path, error);
  }
}

function replace(
  path: string,
  before: number | undefined,
  pieces: Iterable<string | Uint8Array>,
  { durable, mode }: Required<WriteWholeOptions>,
): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}-${threadId}.tmp`);
  const fd = openSync(temporary, 'wx', mode);
  try {
    writeAll(fd, pieces, durable);
    if (before !== undefined) chmodSync(temporary, before & 0o7777);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Write to an open file and close it. */
function writeAll(fd: number, pieces: Iterable<string | Uint8Array>, durable: boolean): void {
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
    if (durable && fstatSync(fd).isFile()) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Undefined if the path does not exist or cannot be inspected; opening it reports the error. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
