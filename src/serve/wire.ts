import { maxArgSize, TeeIoctl } from '../uapi/tee.js';

/** The protocol between clients and server on the Unix socket: docs/serve.md, preload/wire.h. Little-endian. */

/** "NWT2", at the beginning of each request, answer and greeting. */
export const wireMagic = 0x3254_574e;
/** A string in preload libraries that have this protocol version. */
export const libraryMark = 'normalworld wire NWT2';

/** Header of a request: magic, operation, length of the body, reserved, token. */
export const requestHeaderSize = 32;
export const tokenSize = 16;
/** Header of an answer: magic, status, length of the body, reserved. */
export const replyHeaderSize = 16;
export const greetingSize = 64;
/** Largest argument: Linux's TEE_MAX_ARG_SIZE. */
export const maxBodySize = maxArgSize;

/** Operations: the numbers of the ioctls (uapi linux/tee.h), and `openDevice`. */
export const Operation = { ...TeeIoctl, openDevice: 0x100 } as const;

/** What a connection with a greeting represents. */
export const FileKind = { device: 1, sharedMemory: 2, registeredMemory: 3 } as const;
export type FileKind = (typeof FileKind)[keyof typeof FileKind];

export interface Request {
  readonly operation: number;
  /** The token of the device file, in hexadecimal. */
  readonly token: string;
  readonly body: Buffer;
}

/** A client violated the protocol. Its connection must be closed. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/**
 * Assembles requests from the bytes of a connection. A client waits for each answer, so there is at most one request.
 */
export class RequestReader {
  private bytes: Buffer = Buffer.alloc(0);

  /** A part of a request has arrived. */
  get inside(): boolean {
    return this.bytes.length > 0;
  }

  /**
   * @returns the request that these bytes complete; undefined if it is still incomplete.
   * @throws WireError if the bytes are not a valid request, or if more bytes follow it.
   */
  push(bytes: Buffer): Request | undefined {
    this.bytes = this.bytes.length === 0 ? bytes : Buffer.concat([this.bytes, bytes]);
    if (this.bytes.length < requestHeaderSize) return undefined;
    const head = this.bytes;
    if (head.readUInt32LE(0) !== wireMagic) throw new WireError(`magic 0x${head.readUInt32LE(0).toString(16)}`);
    const length = head.readUInt32LE(8);
    if (length > maxBodySize) throw new WireError(`a body of ${length} bytes, at most ${maxBodySize}`);
    if (head.readUInt32LE(12) !== 0) throw new WireError('the reserved word is not 0');
    const end = requestHeaderSize + length;
    if (this.bytes.length < end) return undefined;
    if (this.bytes.length > end) throw new WireError(`${this.bytes.length - end} bytes after a request`);
    this.bytes = Buffer.alloc(0);
    return {
      operation: head.readUInt32LE(4),
      token: head.toString('hex', 16, 16 + tokenSize),
      body: head.subarray(requestHeaderSize, end),
    };
  }
}

/** @param status 0 or a negative errno. */
export function reply(status: number, body: Uint8Array = new Uint8Array(0)): Buffer {
  const bytes = Buffer.alloc(replyHeaderSize + body.length);
  bytes.writeUInt32LE(wireMagic, 0);
  bytes.writeInt32LE(status, 4);
  bytes.writeUInt32LE(body.length, 8);
  bytes.set(body, replyHeaderSize);
  return bytes;
}

export interface Greeting {
  readonly kind: FileKind;
  /** Of the device file, in hexadecimal. */
  readonly token: string;
  /** Id of the shared memory; 0 for a device file. */
  readonly id: number;
  /** Offset and size of the shared memory in the server's memory file, in bytes. */
  readonly offset: number;
  readonly size: number;
}

/**
 * The only message on a connection that represents a file: the file's fields, or a negative errno if it could not be
 * created.
 */
export function greeting(what: Greeting | number): Buffer {
  const bytes = Buffer.alloc(greetingSize);
  bytes.writeUInt32LE(wireMagic, 0);
  if (typeof what === 'number') {
    bytes.writeInt32LE(what, 4);
    return bytes;
  }
  bytes.writeUInt32LE(what.kind, 8);
  bytes.writeInt32LE(what.id, 12);
  bytes.write(what.token, 16, 'hex');
  bytes.writeBigUInt64LE(BigInt(what.offset), 32);
  bytes.writeBigUInt64LE(BigInt(what.size), 40);
  return bytes;
}
