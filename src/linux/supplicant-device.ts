import { constants } from 'node:os';
import type { Call } from '../optee/call.js';
import type { SupplicantRequest } from '../optee/rpc/supplicant-queue.js';
import { rpcCommandName } from '../protocol/optee-rpc-command.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeResult } from '../protocol/tee-result.js';
import { isUint32 } from '../protocol/uint32.js';
import type { SupplicantDevice } from '../supplicant/supplicant.js';
import { TeeContext } from '../tee/tee-context.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';
import { bufDataSize, GeneralCapability, TeeIoctlRequest, versionSize } from '../uapi/tee.js';
import { SlotOperation } from './call-slot.js';
import { CallThreads } from './call-threads.js';
import { DeviceMemory } from './device-memory.js';
import { errnoError, openError } from './errno-error.js';
import { parseRequest, receiveArgument, sendArgument } from './supplicant-argument.js';
import { addressOf, closeFile, ioctl, openDevice } from './system-calls.js';

const { EINTR, ENODEV, ENOENT } = constants.errno;

/** A received request that has no answer yet. */
interface Taken {
  readonly params: readonly TeeParam[];
  /** Referenced until the request is answered, even if secure world frees it earlier. */
  readonly memory: readonly TeeShm[];
}

/**
 * The supplicant's side of a driver in the kernel: `/dev/teepriv0` with SUPPL_RECV and SUPPL_SEND (uapi linux/tee.h).
 * Requests have ids (META), so that several can be served concurrently.
 */
export class LinuxSupplicantDevice implements SupplicantDevice {
  private fd = -1;
  private detached = false;
  /** The driver accepts registered memory. */
  private takesOurs = false;
  /** One thread waits for requests, without a time limit; the other allocates and frees memory. */
  private readonly threads = new CallThreads(2, 0);
  private readonly memory = new DeviceMemory(this.threads);
  private readonly allocated = new Map<number, TeeShm>();
  private readonly taken = new Map<number, Taken>();

  /** @param onTrouble called with a message when a request could not be served. */
  constructor(
    private readonly path: string,
    private readonly onTrouble: (trouble: string) => void,
  ) {}

  /** @throws TeecError BUSY if another supplicant is attached; the kernel's error with advice otherwise. */
  attach(): void {
    const { result, errno } = openDevice(this.path);
    if (result === -1) throw openError(errno, this.path);
    try {
      const capabilities = privilegedCapabilities(result, this.path);
      this.takesOurs = (capabilities & GeneralCapability.registeredMemory) !== 0;
    } catch (error) {
      closeFile(result);
      throw error;
    }
    this.fd = result;
  }

  /** The kernel releases the device when the pending SUPPL_RECV returns, or when the process ends. */
  detach(): void {
    if (this.detached) return;
    this.detached = true;
    if (this.fd >= 0) closeFile(this.fd);
    this.threads.end();
  }

  async receive(): Promise<SupplicantRequest | undefined> {
    while (!this.detached) {
      const arg = receiveArgument();
      const { fd } = this;
      const call = { operation: SlotOperation.ioctlBuffer, fd, request: TeeIoctlRequest.supplicantReceive, arg };
      const { result, errno } = await this.threads.run(call).catch((error: unknown) => {
        if (this.detached) return { result: -1, errno: EINTR };
        throw error;
      });
      if (this.detached) return undefined;
      if (result === -1) {
        if (errno === EINTR) continue;
        throw errnoError(errno, 'waiting for a request of secure world');
      }
      const request = this.take(arg);
      if (request !== undefined) return request;
    }
    return undefined;
  }

  send(id: number, result: number): boolean {
    const taken = this.taken.get(id);
    if (taken === undefined)
      throw commsError(TeeResult.ERROR_ITEM_NOT_FOUND, `answering supplicant request ${id}: no such request is open`);
    this.taken.delete(id);
    for (const shm of taken.memory) Promise.resolve(shm.put()).catch(() => undefined);
    if (this.detached) return false;
    return this.answer(id, result, taken.params);
  }

  /**
   * Register memory of this process if the driver supports it: the driver then does not call secure world until the
   * memory is used. With TEE_IOC_SHM_ALLOC it makes a call at once, which would wait for a thread if all threads wait
   * for this supplicant. The kernel identifies the memory by its id.
   * @throws TeecError
   */
  async allocate(size: number): Promise<TeeShm> {
    // OP-TEE may request 0 bytes; Linux cannot allocate that.
    const bytes = Math.max(1, size);
    const forget = () => this.allocated.delete(shm.id);
    const shm = this.takesOurs
      ? await this.memory.register(this.fd, wholePages(bytes), forget)
      : await this.memory.allocate(this.fd, bytes, forget);
    this.allocated.set(shm.id, shm);
    return shm;
  }

  /** @returns undefined if the request refers to memory that is not ours; it has been answered then. */
  private take(arg: Buffer): SupplicantRequest | undefined {
    const { id, command, params, unknown } = parseRequest(arg, (shmId) => this.allocated.get(shmId));
    if (unknown !== undefined) {
      this.onTrouble(`${rpcCommandName(command)}: it names memory ${unknown}, which this supplicant has not allocated`);
      this.answer(id, TeeResult.ERROR_BAD_PARAMETERS, params);
      return undefined;
    }
    const memory = params.flatMap((param) => (param.type === 'memref' && param.shm !== null ? [param.shm.get()] : []));
    this.taken.set(id, { params, memory });
    return { id, command, params, call: new AskingCall(id, this.onTrouble) };
  }

  /** @returns false if the request was cancelled. */
  private answer(id: number, result: number, params: readonly TeeParam[]): boolean {
    const wrong = isUint32(result)
      ? params.map(mistakeIn).find((mistake) => mistake !== undefined)
      : `the result is ${result}`;
    if (wrong !== undefined) this.onTrouble(`answering supplicant request ${id}: ${wrong}`);
    const bytes =
      wrong === undefined
        ? sendArgument(id, result, params)
        : sendArgument(id, TeeResult.ERROR_COMMUNICATION, params.map(empty));
    // SUPPL_SEND does not block, so it is made on this thread.
    const bufData = Buffer.alloc(bufDataSize);
    bufData.writeBigUInt64LE(BigInt(addressOf(bytes)), 0);
    bufData.writeBigUInt64LE(BigInt(bytes.length), 8);
    const sent = ioctl(this.fd, TeeIoctlRequest.supplicantSend, addressOf(bufData));
    if (sent.result === 0) return true;
    if (sent.errno === ENOENT || sent.errno === ENODEV) return false;
    throw errnoError(sent.errno, `answering supplicant request ${id}`);
  }
}

/** A value that a service has written into a parameter and that a message cannot hold. */
function mistakeIn(param: TeeParam, index: number): string | undefined {
  if (param.type === 'none') return undefined;
  const words = param.type === 'value' ? [param.a, param.b, param.c] : [param.size];
  if (words.every((word) => Number.isInteger(word) && word >= 0)) return undefined;
  return `parameter ${index} has ${words.join(', ')}, which are not valid numbers of a message`;
}

/** A parameter of the same kind without content. */
function empty(param: TeeParam): TeeParam {
  switch (param.type) {
    case 'none':
      return param;
    case 'value':
      return { ...param, a: 0, b: 0, c: 0 };
    case 'memref':
      return { ...param, size: 0 };
    default:
      return param satisfies never;
  }
}

/** The call that made a request is not known on this side. Problems are reported at once. */
class AskingCall implements Call {
  readonly context = new TeeContext('a client of the kernel', false, { uid: 0, gid: 0, groups: [] });
  readonly purpose = 'unknown';
  readonly session = 0;
  readonly system = false;
  readonly relief = false;
  readonly application = undefined;
  readonly inside = true;
  readonly switches = undefined;
  next: Call | undefined;
  previous: Call | undefined;
  private said: string | undefined;

  constructor(
    readonly id: number,
    private readonly onTrouble: (trouble: string) => void,
  ) {}

  get trouble(): string | undefined {
    return this.said;
  }
  set trouble(what: string | undefined) {
    this.said = what;
    if (what !== undefined) this.onTrouble(what);
  }
}

/** Capabilities of the device. @throws TeecError NOT_SUPPORTED if it is a device for clients. */
function privilegedCapabilities(fd: number, path: string): number {
  const bytes = Buffer.alloc(versionSize);
  const { result, errno } = ioctl(fd, TeeIoctlRequest.version, addressOf(bytes));
  if (result === -1) throw errnoError(errno, `reading the version of ${path}`);
  const capabilities = bytes.readUInt32LE(8);
  if ((capabilities & GeneralCapability.privileged) === 0)
    throw commsError(
      TeeResult.ERROR_NOT_SUPPORTED,
      `${path} is a device for clients; a supplicant opens /dev/teepriv0`,
    );
  return capabilities;
}

/** Whole pages that contain no other data of this process. */
function wholePages(size: number): Uint8Array {
  const whole = Math.ceil(size / pageSize) * pageSize;
  const room = new Uint8Array(whole + pageSize);
  const begin = (pageSize - (addressOf(room) % pageSize)) % pageSize;
  return room.subarray(begin, begin + whole);
}
