import { startTimer } from '../clock/timer.js';
import { type Call, DeviceFile } from '../serve/device-file.js';
import { Errno, ErrnoError, errnoOf } from '../serve/errno.js';
import { MemoryIds } from '../serve/memory-ids.js';
import type { ClientIdentity } from '../tee/login.js';
import type { TeeDevice } from '../tee/tee-device.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { TeecError } from '../tee/teec-error.js';
import {
  InvokeArg,
  memrefNullId,
  OpenSessionArg,
  ParamAttr,
  paramCountAt,
  paramDirections,
  paramSize,
  ShmAllocArg,
} from '../uapi/tee.js';
import {
  AgentOperation,
  type Change,
  changesIn,
  type Frame,
  FrameError,
  FrameReader,
  frame,
  memoryFrames,
} from './frames.js';
import { MemoryCopy } from './memory-copy.js';

/** Time that calls of a disconnected client have to return, in milliseconds. */
const graceMs = 3000;
/** Largest number of open files. */
const mostFiles = 1024;

interface AgentFile {
  readonly file: DeviceFile;
  readonly ended: Promise<void>;
}

interface AgentMemory {
  readonly file: DeviceFile;
  readonly shm: TeeShm;
  readonly copy: MemoryCopy;
}

export interface AgentOptions {
  readonly device: TeeDevice;
  readonly callLimitMs: number;
  /** Identity of the clients. */
  readonly identity: ClientIdentity;
  readonly send: (bytes: Buffer) => void;
}

/** The agent's end of the connection: executes the client's requests on the TEE device and sends the results. */
export class Agent {
  private readonly reader = new FrameReader();
  private readonly files = new Map<number, AgentFile | ErrnoError>();
  private readonly memory = new Map<number, AgentMemory>();
  private readonly ids = new MemoryIds();
  private readonly calls = new Set<Call>();
  /** Number of the last frame that was read. */
  private read = 0;
  private gone = false;

  constructor(private readonly options: AgentOptions) {}

  /** Process bytes from the client. @throws FrameError if they violate the protocol. */
  receive(bytes: Buffer): void {
    for (const each of this.reader.push(bytes)) {
      this.read = each.number;
      this.take(each);
    }
  }

  /**
   * The client has disconnected: cancel its calls and close its sessions. Resolves when all resources are released, at
   * most after `graceMs`.
   */
  async end(): Promise<void> {
    this.gone = true;
    for (const call of this.calls) call.abandon();
    const files = [...this.files.values()].filter((each): each is AgentFile => !(each instanceof ErrnoError));
    for (const { file } of files) file.close();
    const all = Promise.allSettled([
      ...[...this.memory].map(([id, { file }]) => file.free(id)),
      ...files.map(({ ended }) => ended),
    ]);
    this.memory.clear();
    let cancel = () => {};
    await Promise.race([
      all,
      new Promise<void>((resolve) => {
        cancel = startTimer(graceMs, resolve);
      }),
    ]);
    cancel();
  }

  private take(request: Frame): void {
    const { operation, number, file: fileNumber, body } = request;
    switch (operation) {
      case AgentOperation.memory:
        for (const change of changesIn(body)) this.change(change);
        return;
      case AgentOperation.open:
        this.open(fileNumber, body.toString('utf8'));
        this.answer(number, 0);
        return;
      case AgentOperation.close:
        this.close(fileNumber);
        this.answer(number, 0);
        return;
      default:
        void this.serve(request).then(
          (back) => this.answer(number, 0, back),
          (error: unknown) => this.answer(number, -errnoOf(error)),
        );
    }
  }

  private change(change: Change): void {
    const found = this.memory.get(change.memory);
    if (found === undefined) throw new FrameError(`a change of shared memory ${change.memory}, which does not exist`);
    found.copy.take(change, this.read);
  }

  private open(number: number, label: string): void {
    if (this.files.has(number)) throw new FrameError(`file ${number} is opened twice`);
    if (this.files.size >= mostFiles) throw new FrameError(`more than ${mostFiles} files are open`);
    const { device, callLimitMs, identity } = this.options;
    let end: (ended: Promise<void>) => void = () => undefined;
    const ended = new Promise<void>((resolve, reject) => {
      end = (ending) => ending.then(resolve, reject);
    });
    // As with a device, the client does not see errors of session closes.
    ended.catch(() => undefined);
    try {
      const file = new DeviceFile({ device, ids: this.ids, callLimitMs }, label, identity, (ending) => end(ending));
      this.files.set(number, { file, ended });
    } catch (error) {
      // Every request on this file gets this error.
      this.files.set(number, new ErrnoError(errnoOf(error), 'the device could not be opened'));
    }
  }

  private close(number: number): void {
    const opened = this.files.get(number);
    this.files.delete(number);
    if (opened !== undefined && !(opened instanceof ErrnoError)) opened.file.close();
  }

  /** @returns the argument with its outputs. @throws ErrnoError, TeecError */
  private async serve({ operation, file: fileNumber, body }: Frame): Promise<Buffer> {
    if (operation === AgentOperation.free) return this.free(body);
    const opened = this.files.get(fileNumber);
    if (opened === undefined) throw new ErrnoError(Errno.EBADF, `no file ${fileNumber}`);
    if (opened instanceof ErrnoError) throw opened;
    const { file } = opened;
    const call = file.begin();
    this.calls.add(call);
    try {
      if (operation === AgentOperation.shmAlloc) return await this.allocate(file, body);
      const parts = referencesIn(operation, body);
      const back = await file.ioctl(operation, body, () => this.options.identity);
      this.carryOut(parts);
      return back;
    } finally {
      this.calls.delete(call);
      call.end();
    }
  }

  private async allocate(file: DeviceFile, body: Buffer): Promise<Buffer> {
    const { id, shm } = await file.allocate(body);
    // Both copies begin with zeros.
    shm.bytes.fill(0);
    if (this.gone) await file.free(id);
    else this.memory.set(id, { file, shm, copy: new MemoryCopy(id, shm) });
    const back = Buffer.from(body);
    back.writeBigUInt64LE(BigInt(shm.size), ShmAllocArg.length);
    back.writeInt32LE(id, ShmAllocArg.id);
    return back;
  }

  private async free(body: Buffer): Promise<Buffer> {
    if (body.length !== 4) throw new ErrnoError(Errno.EINVAL, 'the id must have 4 bytes');
    const id = body.readUInt32LE(0);
    const found = this.memory.get(id);
    if (found === undefined) throw new ErrnoError(Errno.EINVAL, `no shared memory with id ${id}`);
    this.memory.delete(id);
    await found.file.free(id).catch((error: unknown) => {
      // Secure world has ended, and its resources with it.
      if (!(error instanceof TeecError)) throw error;
    });
    return body;
  }

  /** Send changes that trusted applications made in shared memory before the answer. */
  private carryOut(parts: readonly Part[]): void {
    const changes = parts.flatMap(({ id, offset, size }) => this.memory.get(id)?.copy.changes(offset, size) ?? []);
    if (!this.gone) for (const each of memoryFrames(changes, this.read)) this.options.send(each);
  }

  private answer(number: number, status: number, body?: Buffer): void {
    if (!this.gone) this.options.send(frame(AgentOperation.reply, number, status, body));
  }
}

interface Part {
  readonly id: number;
  readonly offset: number;
  readonly size: number;
}

/** Shared memory that an argument refers to and that a trusted application may write. */
function referencesIn(operation: number, body: Buffer): Part[] {
  const head =
    operation === AgentOperation.invoke
      ? InvokeArg.head
      : operation === AgentOperation.openSession
        ? OpenSessionArg.head
        : undefined;
  if (head === undefined || body.length < head) return [];
  const count = Math.min(body.readUInt32LE(paramCountAt(head)), Math.floor((body.length - head) / paramSize));
  return Array.from({ length: count }, (_, index) => head + index * paramSize).flatMap((at) => {
    const direction = paramDirections[Number(body.readBigUInt64LE(at)) - ParamAttr.memrefInput];
    const id = body.readBigUInt64LE(at + 24);
    if (direction === undefined || direction === 'input' || id === memrefNullId) return [];
    return [
      { id: Number(id), offset: Number(body.readBigUInt64LE(at + 8)), size: Number(body.readBigUInt64LE(at + 16)) },
    ];
  });
}
