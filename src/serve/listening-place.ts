import {
  chmodSync,
  closeSync,
  constants,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import koffi from 'koffi';
import { startTimer } from '../clock/timer.js';

/** sun_path of a Unix socket's address has 108 bytes including the terminating 0 (unix(7)). */
const maxPath = 107;
// asm-generic/fcntl.h
const LOCK_EX_NB = 2 | 4;
/** How often to retry, and how long, while another server starts in the same folder. Milliseconds. */
const lockEachMs = 10;
const lockTries = 500;

const loadFlock = () => koffi.load(null).func('int flock(int fd, int operation)');
let flock: ReturnType<typeof loadFlock> | undefined;

/** @returns the absolute path. @throws RangeError if it is too long for a socket. */
function socketPath(wish: string): string {
  const path = resolve(wish);
  const length = Buffer.byteLength(path);
  if (wish === '') throw new RangeError('the path of the socket is empty');
  if (length > maxPath)
    throw new RangeError(`the path of a socket has at most ${maxPath} bytes, this one has ${length}: ${path}`);
  return path;
}

/**
 * Check that a server listens on a socket. Without the check, a client would only see that the device does not exist.
 * @throws RangeError if the path is too long for a socket; Error if no server answers there, with the reason.
 */
export async function requireListener(wish: string): Promise<void> {
  const path = socketPath(wish);
  try {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(path, () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
  } catch (error) {
    throw new Error(`no server at ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The socket that a server listens on. It appears when the server is ready, only its owner can connect, and it is
 * removed with the server. A socket that a server left after an unclean end is replaced; one with a running server is
 * not.
 */
export class ListeningPlace implements Disposable {
  private readonly remove = () => {
    const now = found(this.path);
    // Another server may have replaced the socket.
    if (now?.ino === this.socket.ino && now.dev === this.socket.dev) rmSync(this.path, { force: true });
  };

  private constructor(
    /** The absolute path. */
    readonly path: string,
    private readonly socket: Stats,
  ) {
    process.once('exit', this.remove);
  }

  /**
   * @throws RangeError if the path is too long for a socket.
   * @throws Error saying what prevents listening.
   */
  static async listen(server: Server, wish: string): Promise<ListeningPlace> {
    const path = socketPath(wish);
    const folder = openFolder(path);
    try {
      await lock(folder, path);
      const dead = await isDead(path);
      // Listen under a temporary name until the server is ready. The path through /proc is short even if the folder's
      // path is long.
      const staged = join('/proc/self/fd', String(folder), `.normalworld-${process.pid}-${process.hrtime.bigint()}`);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(staged, resolve);
      });
      try {
        chmodSync(staged, 0o600);
        if (dead) renameSync(staged, path);
        else linkSync(staged, path);
        rmSync(staged, { force: true });
      } catch (error) {
        server.close();
        rmSync(staged, { force: true });
        throw error;
      }
      return new ListeningPlace(path, lstatSync(path));
    } finally {
      closeSync(folder);
    }
  }

  [Symbol.dispose](): void {
    process.off('exit', this.remove);
    this.remove();
  }
}

function openFolder(path: string): number {
  try {
    return openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new Error(`no folder for the socket ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Prevents other servers from starting in the folder until the descriptor is closed. */
async function lock(folder: number, path: string): Promise<void> {
  flock ??= loadFlock();
  for (let tries = 0; flock(folder, LOCK_EX_NB) !== 0; tries++) {
    if (tries === lockTries) throw new Error(`another process has locked the folder of the socket ${path}`);
    await new Promise<void>((resolve) => startTimer(lockEachMs, resolve));
  }
}

/**
 * Whether a socket exists that no server listens on. @throws Error if the path is not a socket or a server listens on
 * it.
 */
async function isDead(path: string): Promise<boolean> {
  const there = found(path);
  if (there === undefined) return false;
  if (!there.isSocket()) throw new Error(`${path} already exists, and is not a socket`);
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (code === 'ECONNREFUSED') return true;
  throw new Error(
    code === undefined || code === 'EAGAIN'
      ? `another server listens at ${path}`
      : `${path} already exists, and does not answer: ${code}`,
  );
}

function found(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
