import { maxArgSize, TeeIoctl } from '../uapi/tee.js';

/**
 * The frames that client and agent exchange after the hello line. Little-endian: magic, operation, number, file or
 * status, length of the body, 4 bytes each, then the body (docs/boards.md).
 */

/** "NWA1". */
const magic = 0x3141_574e;
const headerSize = 20;
/** Largest body of a frame with memory changes, in bytes. Larger changes are split. */
export const maxBody = 1024 * 1024;

/**
 * Operations: the numbers of the ioctls (uapi linux/tee.h), and those below. The client chooses the number of a file
 * when it opens it.
 */
export const AgentOperation = {
  ...TeeIoctl,
  /** The body is the client's name for traces. */
  open: 0x100,
  close: 0x101,
  /** The body is the id of shared memory, 4 bytes. */
  free: 0x102,
  /** An answer. It has the number of its request; the body is the argument with its outputs. */
  reply: 0x200,
  /**
   * Changes of shared memory since the last frame, sent before the request or answer that they belong to. There is no
   * answer. The client gives the frame a number of its own; the agent sets the number of the client's last frame that
   * it has read.
   */
  memory: 0x201,
} as const;

export interface Frame {
  readonly operation: number;
  readonly number: number;
  /** In an answer, the status: 0 or a negative errno. */
  readonly file: number;
  readonly body: Buffer;
}

/** The other side violated the protocol. The connection must be closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

export function frame(operation: number, number: number, file: number, body: Uint8Array = new Uint8Array(0)): Buffer {
  const bytes = Buffer.alloc(headerSize + body.length);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(operation, 4);
  bytes.writeUInt32LE(number, 8);
  bytes.writeInt32LE(file, 12);
  bytes.writeUInt32LE(body.length, 16);
  bytes.set(body, headerSize);
  return bytes;
}

/** Assembles frames from bytes. */
export class FrameReader {
  private pieces: Buffer[] = [];
  private size = 0;
  /** Number of bytes needed for the next frame, or for its header. */
  private wanted = headerSize;

  /** @throws FrameError if the bytes are not valid frames. */
  *push(bytes: Buffer): Generator<Frame> {
    this.pieces.push(bytes);
    this.size += bytes.length;
    while (this.size >= this.wanted) {
      const all = this.pieces.length === 1 ? (this.pieces[0] ?? bytes) : Buffer.concat(this.pieces, this.size);
      this.pieces = [all];
      const length = bodyLength(all);
      if (all.length < headerSize + length) {
        this.wanted = headerSize + length;
        return;
      }
      const rest = all.subarray(headerSize + length);
      this.pieces = rest.length === 0 ? [] : [rest];
      this.size = rest.length;
      this.wanted = headerSize;
      yield {
        operation: all.readUInt32LE(4),
        number: all.readUInt32LE(8),
        file: all.readInt32LE(12),
        body: all.subarray(headerSize, headerSize + length),
      };
    }
  }
}

function bodyLength(head: Buffer): number {
  if (head.readUInt32LE(0) !== magic) throw new FrameError(`wrong magic number 0x${head.readUInt32LE(0).toString(16)}`);
  const length = head.readUInt32LE(16);
  const most = head.readUInt32LE(4) === AgentOperation.memory ? maxBody : maxArgSize;
  if (length > most) throw new FrameError(`a body of ${length} bytes, at most ${most}`);
  return length;
}

/** Changed bytes of a piece of shared memory. */
export interface Change {
  readonly memory: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Header of a change: memory id, offset, length. */
const changeHead = 12;

export function memoryFrames(changes: readonly Change[], number: number): Buffer[] {
  const frames: Buffer[] = [];
  let parts: Buffer[] = [];
  let room = maxBody;
  const flush = () => {
    if (parts.length > 0) frames.push(frame(AgentOperation.memory, number, 0, Buffer.concat(parts)));
    parts = [];
    room = maxBody;
  };
  for (const { memory, offset, bytes } of changes)
    for (let at = 0; at < bytes.length; ) {
      if (room <= changeHead) flush();
      const length = Math.min(bytes.length - at, room - changeHead);
      const head = Buffer.alloc(changeHead);
      head.writeUInt32LE(memory, 0);
      head.writeUInt32LE(offset + at, 4);
      head.writeUInt32LE(length, 8);
      parts.push(head, Buffer.from(bytes.buffer, bytes.byteOffset + at, length));
      room -= changeHead + length;
      at += length;
    }
  flush();
  return frames;
}

/** @throws FrameError if the body is truncated. */
export function* changesIn(body: Buffer): Generator<Change> {
  for (let at = 0; at < body.length; ) {
    if (at + changeHead > body.length) throw new FrameError('a memory change with an incomplete header');
    const length = body.readUInt32LE(at + 8);
    const begin = at + changeHead;
    if (begin + length > body.length) throw new FrameError(`a memory change of ${length} bytes is truncated`);
    yield {
      memory: body.readUInt32LE(at),
      offset: body.readUInt32LE(at + 4),
      bytes: body.subarray(begin, begin + length),
    };
    at = begin + length;
  }
}
