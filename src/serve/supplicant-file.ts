import { randomBytes } from 'node:crypto';
import type { SupplicantQueue, SupplicantRequest } from '../optee/rpc/supplicant-queue.js';
import { RpcCommand } from '../protocol/optee-rpc-command.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { TeecError } from '../tee/teec-error.js';
import { GeneralCapability } from '../uapi/tee.js';
import type { Call, ClientFile, NewMemory } from './device-file.js';
import { memorySize, versionReply } from './device-file.js';
import { Errno, ErrnoError } from './errno.js';
import type { MemoryIds } from './memory-ids.js';
import { noSuchRequest, parseReceive, parseSend, receiveReply, takeAnswer } from './supplicant-ioctl.js';
import { fixedArg, invalid } from './tee-ioctl.js';
import { Operation, tokenSize } from './wire.js';

/** What an open file of the supplicant's device needs. */
export interface SupplicantPlace {
  readonly queue: SupplicantQueue;
  /** Allocate memory that secure world can access. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => Promise<TeeShm>;
}

/** A supplicant thread that waits in SUPPL_RECV. */
interface Waiter {
  readonly room: number;
  readonly resolve: (request: SupplicantRequest) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * An open file of `/dev/teepriv0`, for a supplicant in another process, such as tee-supplicant. Its threads receive
 * requests and answer them in any order. When it closes, the requests that it received fail.
 */
export class SupplicantFile implements ClientFile {
  readonly token = randomBytes(tokenSize).toString('hex');
  private readonly memory = new Map<number, TeeShm>();
  /** Received requests without an answer, by id. */
  private readonly taken = new Map<number, SupplicantRequest>();
  /** A request received by a supplicant that does not use ids; it can have only one at a time. */
  private unnamed: SupplicantRequest | undefined;
  /** Requests taken from the queue for a thread that then closed its connection, or whose argument was too small. */
  private readonly ready: SupplicantRequest[] = [];
  private readonly waiters: Waiter[] = [];
  private pumping = false;
  private opened = true;

  /** @throws ErrnoError EBUSY if a supplicant is attached already. */
  constructor(
    private readonly place: SupplicantPlace,
    readonly label: string,
    private readonly ids: MemoryIds,
    private readonly onEnd: (ended: Promise<void>) => void,
  ) {
    try {
      place.queue.attach();
    } catch (error) {
      if (error instanceof TeecError && error.code === TeeResult.ERROR_BUSY)
        throw new ErrnoError(Errno.EBUSY, 'a supplicant has /dev/teepriv0 open');
      throw error;
    }
  }

  close(): void {
    this.opened = false;
    this.place.queue.detach();
    for (const { reject } of this.waiters.splice(0)) reject(new ErrnoError(Errno.EBADF, 'the device file is closed'));
    this.endIfUnused();
  }

  /** Waiting threads do not keep the file open. */
  begin(): Call {
    if (!this.opened) throw new ErrnoError(Errno.EBADF, 'the device file is closed');
    return { abandon: () => undefined, end: () => undefined };
  }

  async ioctl(operation: number, body: Buffer, _caller: unknown, onGone: (callback: () => void) => void) {
    switch (operation) {
      case Operation.version:
        // Registered memory is not offered: memory of the TEE can be mapped without copies.
        return versionReply(
          fixedArg(body, 12),
          GeneralCapability.globalPlatform | GeneralCapability.privileged | GeneralCapability.memrefNull,
        );
      case Operation.supplicantReceive:
        return this.receive(body, onGone);
      case Operation.supplicantSend:
        return this.send(body);
      default:
        throw invalid(`ioctl ${operation} on /dev/teepriv0`);
    }
  }

  async allocate(body: Buffer): Promise<NewMemory> {
    fixedArg(body, 16);
    const size = Math.ceil(memorySize(body, 0) / pageSize) * pageSize;
    const shm = await this.place.allocate(size);
    const id = this.ids.take();
    this.memory.set(id, shm);
    return { id, shm, offset: 0, size, sharing: undefined };
  }

  register(): Promise<NewMemory> {
    return Promise.reject(invalid('SHM_REGISTER on /dev/teepriv0'));
  }

  async free(id: number): Promise<void> {
    const shm = this.memory.get(id);
    if (shm === undefined) return;
    this.memory.delete(id);
    this.ids.giveBack(id);
    try {
      await shm.put();
    } finally {
      this.endIfUnused();
    }
  }

  private async receive(body: Buffer, onGone: (callback: () => void) => void): Promise<Buffer> {
    const { meta, room } = parseReceive(body);
    if (this.unnamed !== undefined) throw invalid('SUPPL_RECV before the last request was answered');
    const request = await new Promise<SupplicantRequest>((resolve, reject) => {
      const waiter: Waiter = { room, resolve, reject };
      this.waiters.push(waiter);
      onGone(() => {
        const index = this.waiters.indexOf(waiter);
        if (index >= 0) this.waiters.splice(index, 1);
      });
      void this.pump();
    });
    this.taken.set(request.id, request);
    if (!meta) this.unnamed = request;
    return receiveReply(body, this.inItsWords(request), meta, (shm) => this.idOf(shm));
  }

  private send(body: Buffer): Buffer {
    const { unnamed } = this;
    const { result, id, params } = parseSend(body, unnamed === undefined);
    const request = unnamed ?? (id === undefined ? undefined : this.taken.get(id));
    if (request === undefined) throw noSuchRequest(id);
    if (params !== request.params.length)
      throw invalid(`an answer of ${params} parameters to a request of ${request.params.length}`);
    takeAnswer(body, unnamed === undefined, request.params);
    const [first] = request.params;
    // The supplicant answers with its own memory id. Translate it, and accept only memory of this supplicant.
    if (request.command === RpcCommand.shmAlloc && first?.type === 'value') first.c = this.memory.get(first.c)?.id ?? 0;
    this.unnamed = undefined;
    this.taken.delete(request.id);
    this.place.queue.send(request.id, result);
    return body;
  }

  /** Give requests to waiting threads, both in order of arrival. */
  private async pump(): Promise<void> {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (this.waiters.length > 0) {
        const request = this.ready.shift() ?? (await this.place.queue.receive());
        // The device was closed.
        if (request === undefined) return;
        const waiter = this.waiters.shift();
        if (waiter === undefined) this.ready.unshift(request);
        else if (waiter.room >= request.params.length) waiter.resolve(request);
        else {
          this.ready.unshift(request);
          waiter.reject(invalid(`room for ${waiter.room} parameters, the request has ${request.params.length}`));
        }
      }
    } finally {
      this.pumping = false;
    }
  }

  /** Translate the driver's cookie in SHM_FREE to the supplicant's memory id. */
  private inItsWords(request: SupplicantRequest): SupplicantRequest {
    const [first] = request.params;
    if (request.command !== RpcCommand.shmFree || first?.type !== 'value') return request;
    const [id = 0] = [...this.memory].find(([, shm]) => shm.id === first.b) ?? [];
    const param: TeeParam = { type: 'value', direction: first.direction, a: first.a, b: id, c: first.c };
    return { ...request, params: [param, ...request.params.slice(1)] };
  }

  private idOf(shm: TeeShm): number {
    for (const [id, each] of this.memory) if (each === shm) return id;
    return -1;
  }

  private endIfUnused(): void {
    if (!this.opened && this.memory.size === 0) this.onEnd(Promise.resolve());
  }
}
