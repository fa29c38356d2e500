import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { uuidOctets } from '../../src/protocol/uuid.js';
import { Operation } from '../../src/serve/wire.js';

/** The protocol's magic, spelled out here: the tests hold the server to it. */
const magic = 0x3254_574e;

/** ioctl parameters: uapi linux/tee.h, struct tee_ioctl_param. */
export type Param = readonly [attr: number | bigint, a: number | bigint, b: number | bigint, c: number | bigint];
export const nullMemory = 0xffff_ffff_ffff_ffffn;

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** A connection, spoken to in bytes. */
export class WireConnection {
  private received = Buffer.alloc(0);
  private wake: () => void = () => undefined;
  private ended = false;

  private constructor(readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
      this.wake();
    });
  }

  static async open(path: string): Promise<WireConnection> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new WireConnection(socket);
  }

  send(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** So many bytes; undefined when the server has closed the connection. */
  async receive(length: number): Promise<Buffer | undefined> {
    while (this.received.length < length) {
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const bytes = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return bytes;
  }

  /** Resolves when the server has closed it. */
  async closed(): Promise<void> {
    while (!this.ended) await this.receive(1 << 20);
  }

  async answer(): Promise<Answer> {
    const head = await this.receive(16);
    if (head === undefined) throw new Error('the server closed the connection');
    const body = await this.receive(head.readUInt32LE(8));
    return { status: head.readInt32LE(4), body: body ?? Buffer.alloc(0) };
  }

  /** End it as a process that dies does. */
  async end(): Promise<void> {
    if (this.ended) return;
    const closed = once(this.socket, 'close');
    this.socket.destroy();
    await closed;
  }
}

export function request(operation: number, token: string, body: Buffer): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(magic, 0);
  head.writeUInt32LE(operation, 4);
  head.writeUInt32LE(body.length, 8);
  head.write(token.padStart(32, '0'), 16, 'hex');
  return Buffer.concat([head, body]);
}

export function params(list: readonly Param[]): Buffer {
  const bytes = Buffer.alloc(32 * list.length);
  for (const [index, param] of list.entries())
    for (const [at, word] of param.entries()) bytes.writeBigUInt64LE(BigInt(word), 32 * index + 8 * at);
  return bytes;
}

/** A file of the server's: a connection with a greeting. */
export interface WireFile {
  readonly connection: WireConnection;
  readonly status: number;
  readonly kind: number;
  readonly id: number;
  readonly token: string;
  readonly offset: number;
  readonly size: number;
}

export async function openFile(path: string, operation: number, token: string, body: Buffer): Promise<WireFile> {
  const connection = await WireConnection.open(path);
  connection.send(request(operation, token, body));
  const bytes = await connection.receive(64);
  if (bytes === undefined) throw new Error('no greeting');
  return {
    connection,
    status: bytes.readInt32LE(4),
    kind: bytes.readUInt32LE(8),
    id: bytes.readInt32LE(12),
    token: bytes.toString('hex', 16, 32),
    offset: Number(bytes.readBigUInt64LE(32)),
    size: Number(bytes.readBigUInt64LE(40)),
  };
}

/** A client of the server, as the preload library is one. */
export class WireClient {
  private constructor(
    private readonly path: string,
    readonly file: WireFile,
  ) {}

  static async open(path: string, name = 'tee0'): Promise<WireClient> {
    return new WireClient(path, await openFile(path, Operation.openDevice, '', Buffer.from(name)));
  }

  get token(): string {
    return this.file.token;
  }

  /** One ioctl on a connection of its own. */
  async ioctl(operation: number, body: Buffer, token = this.token): Promise<Answer> {
    const connection = await WireConnection.open(this.path);
    connection.send(request(operation, token, body));
    const answer = await connection.answer();
    await connection.end();
    return answer;
  }

  shmAlloc(size: number, flags = 0): Promise<WireFile> {
    const body = Buffer.alloc(16);
    body.writeBigUInt64LE(BigInt(size), 0);
    body.writeUInt32LE(flags, 8);
    return openFile(this.path, Operation.shmAlloc, this.token, body);
  }

  /** @param way how the client says that he shares his buffer, and how many pages he remaps. */
  shmRegister(address: bigint, size: bigint, way = 2, pages = 0, flags = 0): Promise<WireFile> {
    const body = Buffer.alloc(32);
    body.writeBigUInt64LE(address, 0);
    body.writeBigUInt64LE(size, 8);
    body.writeUInt32LE(flags, 16);
    body.writeUInt32LE(way, 24);
    body.writeUInt32LE(pages, 28);
    return openFile(this.path, Operation.shmRegister, this.token, body);
  }

  async openSession(uuid: string, login = 0, clientUuid: Buffer = Buffer.alloc(16), list: readonly Param[] = []) {
    const head = Buffer.alloc(56);
    head.set(uuidOctets(uuid), 0);
    head.set(clientUuid, 16);
    head.writeUInt32LE(login, 32);
    head.writeUInt32LE(list.length, 52);
    const { status, body } = await this.ioctl(Operation.openSession, Buffer.concat([head, params(list)]));
    return status < 0
      ? { status, session: 0, result: 0, origin: 0 }
      : { status, session: body.readUInt32LE(40), result: body.readUInt32LE(44), origin: body.readUInt32LE(48) };
  }

  async invoke(session: number, command: number, list: readonly Param[] = [], token = this.token) {
    return parseInvoke(await this.ioctl(Operation.invoke, invokeArg(session, command, list), token));
  }

  async closeSession(session: number): Promise<number> {
    const body = Buffer.alloc(4);
    body.writeUInt32LE(session);
    return (await this.ioctl(Operation.closeSession, body)).status;
  }

  /** The client dies: its files are closed. */
  close(): Promise<void> {
    return this.file.connection.end();
  }
}

export function invokeArg(session: number, command: number, list: readonly Param[] = [], cancelId = 0): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(command, 0);
  head.writeUInt32LE(session, 4);
  head.writeUInt32LE(cancelId, 8);
  head.writeUInt32LE(list.length, 20);
  return Buffer.concat([head, params(list)]);
}

export function parseInvoke({ status, body }: Answer) {
  if (status < 0) return { status, result: 0, origin: 0, words: [] as number[][] };
  return {
    status,
    result: body.readUInt32LE(12),
    origin: body.readUInt32LE(16),
    words: Array.from({ length: (body.length - 24) / 32 }, (_, index) =>
      [8, 16, 24].map((at) => Number(body.readBigUInt64LE(24 + 32 * index + at))),
    ),
  };
}
