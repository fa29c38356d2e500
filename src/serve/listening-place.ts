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

/** sun_path of a Unix socket's address has 108 bytes, the last of them 0 (unix(7)). */
const maxPath = 107;
// asm-generic/fcntl.h
const LOCK_EX_NB = 2 | 4;
/** How often, and how long, another server's start in the same folder is waited for, in milliseconds. */
const lockEachMs = 10;
const lockTries = 500;

const loadFlock = () => koffi.load(null).func('int flock(int fd, int operation)');
let flock: ReturnType<typeof loadFlock> | undefined;

/** @returns the path as an absolute one. @throws RangeError when no socket can have it. */
function socketPath(wish: string): string {
  const path = resolve(wish);
  const length = Buffer.byteLength(path);
  if (wish === '') throw new RangeError('the path of the socket is empty');
  if (length > maxPath)
    throw new RangeError(`the path of a socket has at most ${maxPath} bytes, this one has ${length}: ${path}`);
  return path;
}

/**
 * Sees that somebody listens at the path of a socket, as a client would find out too late: to it there is no device.
 * @throws RangeError when no socket can have the path; Error saying that nobody answers there, and why.
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
 * Where a server listens: a path that appears when the server is ready and its owner alone may connect, and goes with it.
 * What a server that ended uncleanly has left there is replaced; one that lives is not.
 */
export class ListeningPlace implements Disposable {
  private readonly remove = () => {
    const now = found(this.path);
    // Somebody may have put another in its place.
    if (now?.ino === this.socket.ino && now.dev === this.socket.dev) rmSync(this.path, { force: true });
  };

  private constructor(
    /** Absolute. */
    readonly path: string,
    private readonly socket: Stats,
  ) {
    process.once('exit', this.remove);
  }

  /**
   * @throws RangeError when no socket can have the path.
   * @throws Error saying what is in the way.
   */
  static async listen(server: Server, wish: string): Promise<ListeningPlace> {
    const path = socketPath(wish);
    const folder = openFolder(path);
    try {
      await lock(folder, path);
      const dead = await isDead(path);
      // Under another name until it is ready. A path through /proc is short, however long the folder's is.
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

/** Until the descriptor is closed no other server starts in the folder. */
async function lock(folder: number, path: string): Promise<void> {
  flock ??= loadFlock();
  for (let tries = 0; flock(folder, LOCK_EX_NB) !== 0; tries++) {
    if (tries === lockTries) throw new Error(`another process has locked the folder of the socket ${path}`);
    await new Promise<void>((resolve) => startTimer(lockEachMs, resolve));
  }
}

/** Whether a socket is there that nobody listens at. @throws Error when something else is. */
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
