import { randomBytes } from 'node:crypto';
import { startTimer } from '../clock/timer.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import type { ClientIdentity } from '../tee/login.js';
import type { TeeContext } from '../tee/tee-context.js';
import { maxSharedMemorySize, type TeeDevice } from '../tee/tee-device.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { TeecError } from '../tee/teec-error.js';
import { GeneralCapability, implementationOptee, opteeCapTrustZone } from '../uapi/tee.js';
import { Errno, ErrnoError } from './errno.js';
import { KeptMemory } from './kept-memory.js';
import type { MemoryIds } from './memory-ids.js';
import { parseSharing, type Sharing } from './sharing.js';
import {
  type ClientMemory,
  fixedArg,
  invalid,
  invokeReply,
  openSessionReply,
  parseInvoke,
  parseOpenSession,
} from './tee-ioctl.js';
import { Operation, tokenSize } from './wire.js';

/** What openings of a device have in common. */
export interface ServedDevice {
  readonly device: TeeDevice;
  readonly ids: MemoryIds;
  /** How long a client waits for its session or command, in milliseconds; Infinity for ever. */
  readonly callLimitMs: number;
}

/**
 * A client's opening of `/dev/tee0`: Linux's `struct file` with its `struct tee_context`. It lives as long as anything
 * of it does: the file, a file of its shared memory, a call.
 */
export class DeviceFile implements ClientFile {
  /** Whoever knows it may use this file: nobody can guess it, and only who has the file is told. */
  readonly token = randomBytes(tokenSize).toString('hex');
  private readonly device: TeeDevice;
  private readonly ids: MemoryIds;
  private readonly callLimitMs: number;
  private readonly context: TeeContext;
  /** By the client's ids. */
  private readonly memory = new Map<number, ClientMemory>();
  /** Given back, but not to the driver. Closing the context does that. */
  private readonly kept = new KeptMemory();
  private opened = true;
  /** Calls whose caller waits for them. */
  private calls = 0;
  /** Calls whose caller died, or was told that their time is over. */
  private orphans = 0;
  private ending: Promise<void> | undefined;

  /** @param onEnd called when nothing of it is left. */
  constructor(
    { device, ids, callLimitMs }: ServedDevice,
    label: string,
    identity: ClientIdentity,
    private readonly onEnd: (ended: Promise<void>) => void,
  ) {
    this.device = device;
    this.ids = ids;
    this.callLimitMs = callLimitMs;
    this.context = device.openContext(label, false, identity);
  }

  /** What traces call the client. */
  get label(): string {
    return this.context.label;
  }

  /** The last who had the file has closed it, or died. */
  close(): void {
    this.opened = false;
    this.endIfUnused();
  }

  /**
   * One ioctl.
   * @param caller who asks, which may be another than who opened the file.
   * @returns the argument with what came back in it.
   * @throws ErrnoError, TeecError for what the kernel answers with an error number.
   */
  async ioctl(operation: number, body: Buffer, caller: () => ClientIdentity): Promise<Buffer> {
    switch (operation) {
      case Operation.version:
        return this.version(fixedArg(body, 12));
      case Operation.openSession:
        return this.openSession(body, caller());
      case Operation.invoke:
        return this.invoke(body);
      case Operation.cancel:
        fixedArg(body, 8);
        await evenIfLost(this.device.cancelRequest(this.context, body.readUInt32LE(4), body.readUInt32LE(0)));
        return body;
      case Operation.closeSession:
        fixedArg(body, 4);
        await evenIfLost(this.device.closeSession(this.context, body.readUInt32LE(0)));
        return body;
      default:
        // SUPPL_RECV and SUPPL_SEND are not for clients.
        throw invalid(`ioctl ${operation}`);
    }
  }

  /** SHM_ALLOC: memory of whole pages, as it is going to be mapped. */
  async allocate(body: Buffer): Promise<NewMemory> {
    fixedArg(body, 16);
    const size = memorySize(body, 0);
    const shm = await this.pages(size);
    return this.add({ shm, offset: 0, size: shm.size }, undefined);
  }

  /** SHM_REGISTER: pages for a buffer of the client's own, in which it lies as it does in the client's. */
  async register(body: Buffer): Promise<NewMemory> {
    fixedArg(body, 32);
    const size = memorySize(body, 8);
    const offset = Number(body.readBigUInt64LE(0) % BigInt(pageSize));
    const sharing = parseSharing(body, size);
    const shm = await this.pages(offset + size);
    return this.add({ shm, offset, size }, sharing);
  }

  /** The last who had the file of this shared memory has closed it. */
  async free(id: number): Promise<void> {
    const shm = this.memory.get(id)?.shm;
    if (shm === undefined) return;
    this.memory.delete(id);
    this.ids.giveBack(id);
    try {
      // While a call uses it, it must not become somebody else's; and a file that is closed makes no more wishes.
      const keep = this.opened && shm.unshared && this.kept.keep(shm);
      if (!keep) await this.device.freeShm(this.context, shm);
    } finally {
      this.endIfUnused();
    }
  }

  /** Something uses the file; the call's caller can die meanwhile. @throws ErrnoError EBADF when it is closed. */
  begin(): Call {
    if (!this.opened) throw new ErrnoError(Errno.EBADF, 'the device file is closed');
    this.calls++;
    let waitedFor = true;
    let ended = false;
    return {
      abandon: () => {
        if (!waitedFor || ended) return;
        waitedFor = false;
        this.calls--;
        this.orphans++;
        this.endIfUnused();
      },
      end: () => {
        ended = true;
        if (waitedFor) this.calls--;
        else this.orphans--;
        this.endIfUnused();
      },
    };
  }

  /** Under an id of the client's. */
  private add(memory: ClientMemory, sharing: Sharing | undefined): NewMemory {
    const id = this.ids.take();
    this.memory.set(id, memory);
    return { id, ...memory, sharing };
  }

  /** As many pages as these bytes need. */
  private async pages(bytes: number): Promise<TeeShm> {
    const size = Math.ceil(bytes / pageSize) * pageSize;
    const kept = this.kept.take(size);
    if (kept !== undefined) return kept;
    try {
      return await this.device.allocateShm(this.context, size);
    } catch (error) {
      const others = this.kept.takeAll();
      if (others.length === 0) throw error;
      for (const shm of others) await this.device.freeShm(this.context, shm);
      return this.device.allocateShm(this.context, size);
    }
  }

  private version(body: Buffer): Buffer {
    const { registeredMemory, memrefNull } = this.device.version;
    return versionReply(
      body,
      GeneralCapability.globalPlatform |
        (registeredMemory ? GeneralCapability.registeredMemory : 0) |
        (memrefNull ? GeneralCapability.memrefNull : 0),
    );
  }

  private async openSession(body: Buffer, identity: ClientIdentity): Promise<Buffer> {
    const { uuid, login, cancelId, params } = parseOpenSession(body, (id) => this.memory.get(id));
    const answer = await this.inTime(
      this.device.openSession(this.context, uuid, login, params, { identity, cancelId }),
      // Nobody will know of it.
      ({ result, session }) => {
        if (result === TeeResult.SUCCESS) this.device.closeSession(this.context, session).catch(() => undefined);
      },
    );
    return openSessionReply(body, { session: 0, ...answer }, params);
  }

  private async invoke(body: Buffer): Promise<Buffer> {
    const { command, session, cancelId, params } = parseInvoke(body, (id) => this.memory.get(id));
    const pending = this.device.invoke(this.context, { session, command, cancelId }, params);
    const answer = await this.inTime(pending, undefined, () => {
      this.device.cancelRequest(this.context, session, cancelId).catch(() => undefined);
    });
    return invokeReply(body, answer, params);
  }

  /**
   * What comes of a request: no longer than its client may wait. The normal world cannot take a thread out of secure world:
   * a request whose time is over goes on, as that of a client that died.
   * @param late what to do with an answer that nobody waits for any more.
   */
  private inTime<T extends Answer>(pending: Promise<T>, late?: (answer: T) => void, cancel?: () => void) {
    const { callLimitMs } = this;
    const answered = unlessLost(pending);
    if (callLimitMs === Number.POSITIVE_INFINITY) return answered;
    return new Promise<T | Answer>((resolve, reject) => {
      const unlimit = startTimer(callLimitMs, () => {
        this.orphans++;
        pending
          .then(late, () => undefined)
          .finally(() => {
            this.orphans--;
            this.endIfUnused();
          });
        cancel?.();
        resolve({ result: TeeResult.ERROR_TIMEOUT, origin: TeeOrigin.COMMS });
      });
      answered.then(resolve, reject).finally(unlimit);
    });
  }

  private endIfUnused(): void {
    if (this.opened || this.calls > 0 || this.memory.size > 0 || this.ending !== undefined) return;
    if (this.orphans > 0) this.device.killContext(this.context);
    this.ending = this.device.closeContext(this.context);
    this.onEnd(this.ending);
  }
}

/** An opening of a device, as a connection sees it. */
export interface ClientFile {
  readonly token: string;
  readonly label: string;
  /** The last who had it has closed it, or died. */
  close(): void;
  /** @throws ErrnoError EBADF when it is closed. */
  begin(): Call;
  /** @param onGone calls back when the caller has gone, whom nothing more must be given to. */
  ioctl(
    operation: number,
    body: Buffer,
    caller: () => ClientIdentity,
    onGone: (callback: () => void) => void,
  ): Promise<Buffer>;
  allocate(body: Buffer): Promise<NewMemory>;
  register(body: Buffer): Promise<NewMemory>;
  free(id: number): Promise<void>;
}

/** struct tee_ioctl_version_data. */
export function versionReply(body: Buffer, capabilities: number): Buffer {
  body.writeUInt32LE(implementationOptee, 0);
  body.writeUInt32LE(opteeCapTrustZone, 4);
  body.writeUInt32LE(capabilities, 8);
  return body;
}

/** Shared memory that was made for a client. */
export interface NewMemory extends ClientMemory {
  readonly id: number;
  /** Of a buffer of the client's own; undefined for pages that were made for him. */
  readonly sharing: Sharing | undefined;
}

/** The size that a client wishes. */
export function memorySize(body: Buffer, at: number): number {
  const flags = body.readUInt32LE(at + 8);
  if (flags !== 0) throw invalid(`flags 0x${flags.toString(16)}`);
  const size = body.readBigUInt64LE(at);
  // Linux has no errno of its own for it: it fails to allocate no pages.
  if (size === 0n) throw new ErrnoError(Errno.ENOMEM, 'shared memory of 0 bytes');
  if (size > BigInt(maxSharedMemorySize)) throw new ErrnoError(Errno.ENOMEM, `shared memory of ${size} bytes`);
  return Number(size);
}

/** A use of a device file. */
export interface Call {
  /** Its caller died. */
  abandon(): void;
  end(): void;
}

interface Answer {
  readonly result: number;
  readonly origin: TeeOrigin;
}

/** A request that was lost on its way to secure world and back is no error of the ioctl, but the request's result. */
async function unlessLost<T extends Answer>(pending: Promise<T>): Promise<T | Answer> {
  try {
    return await pending;
  } catch (error) {
    if (!(error instanceof TeecError) || error.code !== TeeResult.ERROR_COMMUNICATION) throw error;
    return { result: error.code, origin: TeeOrigin.COMMS };
  }
}

/** What a client ends is ended for him, whatever secure world says of it; Linux's ioctl then returns 0. */
async function evenIfLost(ending: Promise<void>): Promise<void> {
  try {
    await ending;
  } catch (error) {
    if (!(error instanceof TeecError) || error.code !== TeeResult.ERROR_COMMUNICATION) throw error;
  }
}
