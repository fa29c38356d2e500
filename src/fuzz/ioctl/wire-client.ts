import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { greetingSize, Operation, replyHeaderSize, requestHeaderSize, wireMagic } from '../../serve/wire.js';

/** The answer to an ioctl. */
export interface WireAnswer {
  /** 0 or a negative errno. */
  readonly status: number;
  readonly body: Buffer;
}

/** A file that the server opened: its connection, and the fields of its greeting. */
export interface WireFile {
  readonly status: number;
  readonly id: number;
  readonly token: string;
  /** Offset of the memory in the server's memory file, in bytes. */
  readonly offset: number;
  readonly size: number;
  readonly connection: WireConnection;
}

/** The bytes of a request. Any field of the header can be overridden. */
export function wireRequest(
  operation: number,
  token: string,
  body: Uint8Array,
  lies: { readonly magic?: number; readonly length?: number; readonly reserved?: number } = {},
): Buffer {
  const bytes = Buffer.alloc(requestHeaderSize + body.length);
  bytes.writeUInt32LE(lies.magic ?? wireMagic, 0);
  bytes.writeUInt32LE(operation, 4);
  bytes.writeUInt32LE(lies.length ?? body.length, 8);
  bytes.writeUInt32LE(lies.reserved ?? 0, 12);
  bytes.write(token, 16, 'hex');
  bytes.set(body, requestHeaderSize);
  return bytes;
}

/** A connection to a served device. */
export class WireConnection {
  private received: Buffer = Buffer.alloc(0);
  private wake: () => void = () => undefined;
  private ended = false;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
      this.wake();
    });
    // The handler of 'close' handles it.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
      this.wake();
    });
  }

  /** @throws the system's error if no server listens on the path. */
  static async open(path: string): Promise<WireConnection> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new WireConnection(socket);
  }

  get isOver(): boolean {
    return this.ended || this.socket.destroyed;
  }

  send(bytes: Uint8Array): void {
    if (!this.isOver) this.socket.write(bytes);
  }

  /** The answer to a request; undefined if the server closed the connection. */
  async answer(): Promise<WireAnswer | undefined> {
    const head = await this.receive(replyHeaderSize);
    if (head === undefined) return undefined;
    const body = await this.receive(head.readUInt32LE(8));
    return body === undefined ? undefined : { status: head.readInt32LE(4), body };
  }

  /** The greeting of a file; undefined if the server closed the connection. */
  async greeting(): Promise<WireFile | undefined> {
    const bytes = await this.receive(greetingSize);
    if (bytes === undefined) return undefined;
    return {
      status: bytes.readInt32LE(4),
      id: bytes.readInt32LE(12),
      token: bytes.toString('hex', 16, 32),
      offset: Number(bytes.readBigUInt64LE(32)),
      size: Number(bytes.readBigUInt64LE(40)),
      connection: this,
    };
  }

  /** Close the connection as the kernel does when a process dies. */
  end(): void {
    this.socket.destroy();
  }

  private async receive(length: number): Promise<Buffer | undefined> {
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
}

/** A client of a served device: its open device file, its memory, and connections for requests. */
export class WireClient {
  readonly memories: WireFile[] = [];
  readonly sessions: number[] = [];
  private readonly open = new Set<WireConnection>();
  /** Connections without a pending request. */
  private readonly idle: WireConnection[] = [];
  isDead = false;

  private constructor(
    private readonly path: string,
    readonly file: WireFile,
  ) {
    this.open.add(file.connection);
  }

  /** @returns the client, or the negative errno with which opening failed. */
  static async open(path: string, name: string): Promise<WireClient | number> {
    const connection = await WireConnection.open(path);
    connection.send(wireRequest(Operation.openDevice, '', Buffer.from(name)));
    const file = await connection.greeting();
    if (file?.status === 0) return new WireClient(path, file);
    connection.end();
    return file?.status ?? 0;
  }

  /** Make an ioctl; undefined if the server closed the connection. */
  async ioctl(operation: number, body: Uint8Array): Promise<WireAnswer | undefined> {
    const connection = this.idle.pop() ?? (await this.connect());
    connection.send(wireRequest(operation, this.file.token, body));
    const answer = await connection.answer();
    if (answer === undefined || this.isDead) this.hangUp(connection);
    else this.idle.push(connection);
    return answer;
  }

  /** Make an ioctl that creates a memory file; undefined if the server closed the connection. */
  async make(operation: number, body: Uint8Array): Promise<WireFile | undefined> {
    const connection = await this.connect();
    connection.send(wireRequest(operation, this.file.token, body));
    const file = await connection.greeting();
    if (file?.status !== 0 || this.isDead) this.hangUp(connection);
    else this.memories.push(file);
    return file;
  }

  /** Send bytes on a new connection. @returns the connection; the caller closes it. */
  async say(bytes: Uint8Array): Promise<WireConnection> {
    const connection = await this.connect();
    connection.send(bytes);
    return connection;
  }

  free(index: number): void {
    const [memory] = this.memories.splice(index % Math.max(1, this.memories.length), 1);
    if (memory !== undefined) this.hangUp(memory.connection);
  }

  /** Close all connections at once. */
  die(): void {
    this.isDead = true;
    for (const connection of this.open) connection.end();
    this.open.clear();
  }

  hangUp(connection: WireConnection): void {
    this.open.delete(connection);
    connection.end();
  }

  private async connect(): Promise<WireConnection> {
    const connection = await WireConnection.open(this.path);
    this.open.add(connection);
    if (this.isDead) this.hangUp(connection);
    return connection;
  }
}
