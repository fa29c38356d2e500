import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { LiveTracepoints } from '../trace/linux/live-tracepoints.js';
import type { TraceRecorder } from '../trace/trace.js';

/** Mount points of tracefs, the newer one first. */
const usualPlaces = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'] as const;
/** Name of our tracing instance in the kernel, so that other users of ftrace are not affected. */
const instanceName = 'normalworld';
/** Both are in drivers/tee/optee/optee_trace.h. */
const tracepoints = ['optee_invoke_fn_begin', 'optee_invoke_fn_end'] as const;
/** Bytes read at once. */
const pieceSize = 64 * 1024;

/** OP-TEE's tracepoints cannot be used; the message says why and what to do. */
export class TracepointsError extends Error {
  override readonly name = 'TracepointsError';
}

/**
 * OP-TEE's tracepoints in Linux, while enabled: each entry to secure world and each return, of all programs of this
 * machine.
 */
export class KernelTracepoints implements Disposable {
  private readonly folder: string;
  private readonly pipe: number;
  private readonly live: LiveTracepoints;
  private readonly piece = Buffer.alloc(pieceSize);
  private closed = false;

  /**
   * @param tracefs mount point of tracefs; searched when left out.
   * @throws TracepointsError
   */
  constructor(into: TraceRecorder, tracefs?: string) {
    const root = placeOf(tracefs);
    this.folder = join(root, 'instances', instanceName);
    try {
      mkdirSync(this.folder);
    } catch (error) {
      // An instance that was left behind, or that another process of ours uses, works as well.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw explained(error, root);
    }
    let pipe: number | undefined;
    try {
      if (!tracepoints.every((name) => existsSync(join(this.folder, 'events/optee', name, 'enable'))))
        throw new TracepointsError(
          `the kernel has no tracepoints ${tracepoints.join(' and ')}: it needs CONFIG_FTRACE, 5.13 or newer, and OP-TEE's driver (modprobe optee)`,
        );
      // CLOCK_MONOTONIC, as in user space.
      this.put('trace_clock', 'mono');
      // Reading an empty pipe must not block.
      pipe = openSync(join(this.folder, 'trace_pipe'), constants.O_RDONLY | constants.O_NONBLOCK);
      for (const name of tracepoints) this.put(`events/optee/${name}/enable`, '1');
    } catch (error) {
      if (pipe !== undefined) closeSync(pipe);
      this.remove();
      throw explained(error, root);
    }
    this.pipe = pipe;
    this.live = new LiveTracepoints(into);
  }

  /** Number of times that the kernel's buffer overflowed and lost events. */
  get lost(): number {
    return this.live.lost;
  }

  /** Read the new events. */
  read(): void {
    for (;;) {
      let size: number;
      try {
        size = readSync(this.pipe, this.piece);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
        throw error;
      }
      if (size === 0) return;
      this.live.push(this.piece.toString('latin1', 0, size));
    }
  }

  /** Disable the tracepoints and remove the instance. */
  [Symbol.dispose](): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.pipe);
    this.remove();
  }

  private remove(): void {
    for (const name of tracepoints)
      try {
        this.put(`events/optee/${name}/enable`, '0');
      } catch {
        // The tracepoint does not exist.
      }
    try {
      rmdirSync(this.folder);
    } catch {
      // Another process reads the instance.
    }
  }

  private put(file: string, value: string): void {
    writeFileSync(join(this.folder, file), value, { flag: 'r+' });
  }
}

function placeOf(tracefs: string | undefined): string {
  const places = tracefs === undefined ? usualPlaces : [tracefs];
  let refused: unknown;
  for (const place of places)
    try {
      if (readdirSync(place).includes('instances')) return place;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') refused ??= error;
    }
  if (refused !== undefined) throw explained(refused, places[0] ?? '');
  throw new TracepointsError(
    `there is no tracefs at ${places.join(' or ')}: mount -t tracefs tracefs ${places[0]} (the kernel needs CONFIG_FTRACE)`,
  );
}

function explained(error: unknown, place: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new TracepointsError(
      `tracefs at ${place} is not accessible to this user (${code}): root is required; kernel lockdown also forbids it (/sys/kernel/security/lockdown)`,
    );
  return error instanceof TracepointsError || code === undefined ? error : new TracepointsError(message);
}
