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

/** What all open files of a device share. */
export interface ServedDevice {
  readonly device: TeeDevice;
  readonly ids: MemoryIds;
  /** Longest time that a client waits for an open-session or invoke ioctl, in milliseconds; Infinity for no limit. */
  readonly callLimitMs: number;
}

/**
 * An open file of `/dev/tee0`: `struct file` and `struct tee_context` in Linux. It exists until the file, all files of
 * its shared memory and all its calls have ended.
 */
export class DeviceFile implements ClientFile {
  /** Authorises access to this file. It is random, and only the client that opened the file gets it. */
  readonly token = randomBytes(tokenSize).toString('hex');
  private readonly device: TeeDevice;
  private readonly ids: MemoryIds;
  private readonly callLimitMs: number;
  private readonly context: TeeContext;
  /** By shared memory id. */
  private readonly memory = new Map<number, ClientMemory>();
  /** Memory that the client freed and that is still allocated in the driver. Closing the context frees it. */
  private readonly kept = new KeptMemory();
  private opened = true;
  /** Number of calls with a waiting caller. */
  private calls = 0;
  /** Number of calls whose caller died or got TIMEOUT. */
  private orphans = 0;
  private ending: Promise<void> | undefined;

  /** @param onEnd called when the file has ended; its promise resolves when the context is closed. */
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

  /** The client's name in traces. */
  get label(): string {
    return this.context.label;
  }

  /** The last descriptor of the file was closed. */
  close(): void {
    this.opened = false;
    this.endIfUnused();
  }

  /**
   * Execute an ioctl.
   * @param caller identity of the calling process, which can differ from the process that opened the file.
   * @returns the argument with its outputs.
   * @throws ErrnoError, or TeecError for errors that the kernel reports as an errno.
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
        // SUPPL_RECV and SUPPL_SEND are not available to clients.
        throw invalid(`ioctl ${operation}`);
    }
  }

  /** TEE_IOC_SHM_ALLOC: memory in whole pages, because the client maps it. */
  async allocate(body: Buffer): Promise<NewMemory> {
    fixedArg(body, 16);
    const size = memorySize(body, 0);
    const shm = await this.pages(size);
    return this.add({ shm, offset: 0, size: shm.size }, undefined);
  }

  /** TEE_IOC_SHM_REGISTER: pages for a buffer of the client, at the same offset in its first page as in the client. */
  async register(body: Buffer): Promise<NewMemory> {
    fixedArg(body, 32);
    const size = memorySize(body, 8);
    const offset = Number(body.readBigUInt64LE(0) % BigInt(pageSize));
    const sharing = parseSharing(body, size);
    const shm = await this.pages(offset + size);
    return this.add({ shm, offset, size }, sharing);
  }

  /** The last descriptor of this shared memory was closed. */
  async free(id: number): Promise<void> {
    const shm = this.memory.get(id)?.shm;
    if (shm === undefined) return;
    this.memory.delete(id);
    this.ids.giveBack(id);
    try {
      // Memory that a call uses must not be reused. A closed file makes no further allocations.
      const keep = this.opened && shm.unshared && this.kept.keep(shm);
      if (!keep) await this.device.freeShm(this.context, shm);
    } finally {
      this.endIfUnused();
    }
  }

  /** Mark the file as used by a call. @throws ErrnoError EBADF if it is closed. */
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

  /** Assign an id. */
  private add(memory: ClientMemory, sharing: Sharing | undefined): NewMemory {
    const id = this.ids.take();
    this.memory.set(id, memory);
    return { id, ...memory, sharing };
  }

  /** Memory of as many pages as `bytes` need. */
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
      // Close the session, because the client does not get its number.
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
   * Wait for a request's result, at most for the client's limit. The normal world cannot remove a thread from secure
   * world, so a request that timed out continues, like that of a client that died.
   * @param late handles a result that arrives after the timeout.
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

/** An open file of a device, as a connection uses it. */
export interface ClientFile {
  readonly token: string;
  readonly label: string;
  /** The last descriptor of the file was closed. */
  close(): void;
  /** @throws ErrnoError EBADF if the file is closed. */
  begin(): Call;
  /** @param onGone registers a callback for when the caller has gone, so that no request is given to it. */
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

/** New shared memory of a client. */
export interface NewMemory extends ClientMemory {
  readonly id: number;
  /** How the client shares its buffer; undefined for memory that the server allocated. */
  readonly sharing: Sharing | undefined;
}

/** Read and check the size that a client requests. @throws ErrnoError */
export function memorySize(body: Buffer, at: number): number {
  const flags = body.readUInt32LE(at + 8);
  if (flags !== 0) throw invalid(`flags 0x${flags.toString(16)}`);
  const size = body.readBigUInt64LE(at);
  // Linux also returns ENOMEM: allocating zero pages fails.
  if (size === 0n) throw new ErrnoError(Errno.ENOMEM, 'shared memory of 0 bytes');
  if (size > BigInt(maxSharedMemorySize)) throw new ErrnoError(Errno.ENOMEM, `shared memory of ${size} bytes`);
  return Number(size);
}

/** A call that uses a device file. */
export interface Call {
  /** Its caller died. */
  abandon(): void;
  end(): void;
}

interface Answer {
  readonly result: number;
  readonly origin: TeeOrigin;
}

/** If secure world cannot be reached, the ioctl succeeds and its result is COMMUNICATION. */
async function unlessLost<T extends Answer>(pending: Promise<T>): Promise<T | Answer> {
  try {
    return await pending;
  } catch (error) {
    if (!(error instanceof TeecError) || error.code !== TeeResult.ERROR_COMMUNICATION) throw error;
    return { result: error.code, origin: TeeOrigin.COMMS };
  }
}

/**
 * Cancellations and session closes succeed even if secure world cannot be reached, because Linux's ioctl returns 0
 * then.
 */
async function evenIfLost(ending: Promise<void>): Promise<void> {
  try {
    await ending;
  } catch (error) {
    if (!(error instanceof TeecError) || error.code !== TeeResult.ERROR_COMMUNICATION) throw error;
  }
}
