import type { RpcShmType } from '../../../protocol/optee-rpc-command.js';
import { RpcCommand, RpcNotification } from '../../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
import { show } from '../../../show.js';
import type { Core } from '../core/core.js';
import type { Direction, RpcMemory, RpcParameter } from '../rpc/thread-rpc.js';
import { allocateRpcMemory, freeRpcMemory, notificationRpc, rpcCommand, rpcValue } from '../rpc/thread-rpc.js';
import type { Routine } from '../threads/routine.js';
import { start } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import { Mutex } from '../threads/wait-queue.js';
import type { ClientIdentity } from './client-identity.js';
import { FsRpc } from './fs-rpc.js';
import { innerSessionsOf } from './inner-sessions.js';
import type { TaParameter } from './ta-parameters.js';
import { MemrefParameter, ValueParameter } from './ta-parameters.js';
import { TaPanic, TeeError } from './tee-error.js';

/** The maximum duration of one SUSPEND in milliseconds. */
const longestSleep = 0xffff_ffff;

/** The state of a session that an entry uses. */
export interface CalledSession {
  readonly id: number;
  readonly client: ClientIdentity;
  /** Whether cancellation was requested. */
  readonly cancelled: boolean;
  /** Whether cancellation is masked. The application can unmask it. */
  cancellationMasked: boolean;
}

/**
 * One entry into a trusted application: its parameters, and the services of OP-TEE during its execution.
 *
 * Every operation that waits returns a promise and keeps the thread context until it settles. A thread can do one
 * operation at a time: starting a second one, or returning before the first is done, is a bug of the application and
 * causes a panic.
 */
export class TaCall {
  private ended = false;
  /** The operation that the thread waits for. */
  private pending: Promise<void> | undefined;

  constructor(
    private readonly core: Core,
    private readonly thread: Thread,
    private readonly taSession: CalledSession,
    /** The command of an invoke; 0 when a session is opened or closed. */
    readonly command: number,
    /** Up to four parameters; undefined for those that the client did not pass. */
    readonly parameters: readonly TaParameter[],
    /** The UUID of the application itself. */
    private readonly uuid: Uuid,
  ) {}

  /** The session: the same object in all its calls, so it can be the key of state per session. */
  get session(): { readonly id: number } {
    return this.taSession;
  }

  get client(): ClientIdentity {
    return this.taSession.client;
  }

  /**
   * A value parameter.
   * @throws TeeError BAD_PARAMETERS if it is not a value, or has another direction.
   */
  value(index: number, direction?: Direction): ValueParameter {
    const parameter = this.parameters[index];
    if (parameter instanceof ValueParameter && (direction ?? parameter.direction) === parameter.direction)
      return parameter;
    throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `parameter ${index} is not an ${direction ?? ''} value`);
  }

  /**
   * A memref parameter.
   * @throws TeeError BAD_PARAMETERS if it is not a memref, or has another direction.
   */
  memref(index: number, direction?: Direction): MemrefParameter {
    const parameter = this.parameters[index];
    if (parameter instanceof MemrefParameter && (direction ?? parameter.direction) === parameter.direction)
      return parameter;
    throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `parameter ${index} is not an ${direction ?? ''} memref`);
  }

  /** TEE_Panic: ends this instance. */
  panic(code: number): never {
    throw new TaPanic(code);
  }

  /** TEE_GetCancellationFlag: false while cancellation is masked, which it is at the start of every entry. */
  get cancelled(): boolean {
    return this.taSession.cancelled && !this.taSession.cancellationMasked;
  }

  /** TEE_UnmaskCancellation. Returns whether it was masked. */
  unmaskCancellation(): boolean {
    return this.setMask(false);
  }

  /** TEE_MaskCancellation. Returns whether it was masked. */
  maskCancellation(): boolean {
    return this.setMask(true);
  }

  private setMask(masked: boolean): boolean {
    const before = this.taSession.cancellationMasked;
    this.taSession.cancellationMasked = masked;
    return before;
  }

  /** TEE_GenerateRandom: `length` octets from the generator of the world. */
  random(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.core.random() * 256));
  }

  /** TEE_GetSystemTime, in milliseconds: secure world's counter. */
  systemTime(): number {
    return Math.floor(this.core.clock.now());
  }

  /** TEE_GetREETime, in milliseconds since 1970-01-01 UTC: requested from the normal world. */
  async reeTime(): Promise<number> {
    const time = rpcValue('output');
    const result = await this.rpc(RpcCommand.getTime, [time]);
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
    return time.a * 1000 + Math.floor(time.b / 1_000_000);
  }

  /**
   * TEE_Wait: sleep in the normal world, repeatedly until the time is over. A cancellation takes effect between two
   * sleeps, as in OP-TEE.
   * @param ms rounded up to whole milliseconds, the unit of TEE_Wait; Infinity: no limit.
   * @throws TeeError CANCEL.
   */
  wait(ms: number): Promise<void> {
    return this.run(this.waitRoutine(ms));
  }

  private *waitRoutine(ms: number): Routine<void> {
    if (!(ms >= 0)) throw new RangeError(`a wait of ${ms} ms`);
    const timeout = Math.ceil(ms);
    const from = this.systemTime();
    for (;;) {
      if (this.cancelled) throw new TeeError(TeeResult.ERROR_CANCEL);
      const elapsed = this.systemTime() - from;
      if (elapsed >= timeout) return;
      const rest = Math.min(timeout - elapsed, longestSleep);
      yield* rpcCommand(this.core, this.thread, RpcCommand.suspend, [rpcValue('input', rest)]);
    }
  }

  /**
   * Compute in secure world for `ms` milliseconds. An interrupt for the normal world may take the thread out in
   * between.
   */
  compute(ms: number): Promise<void> {
    return this.run(this.core.compute(this.thread, ms));
  }

  /**
   * notif_wait_timeout(): sleep in the normal world until this value is sent, by an interrupt handler of secure world
   * or by another thread.
   * @param value 0 to 2^32-1.
   * @param timeoutMs whole milliseconds, below 2^32; 0 and Infinity: no limit.
   * @throws TeeError TIMEOUT; BAD_PARAMETERS if another thread already waits for this value. @throws RangeError for an
   *   invalid value or timeout.
   */
  async waitForNotification(value: number, timeoutMs = 0): Promise<void> {
    requireWord('a notification', value);
    if (timeoutMs !== Number.POSITIVE_INFINITY) requireWord('a timeout in milliseconds', timeoutMs);
    const timeout = timeoutMs === Number.POSITIVE_INFINITY ? 0 : timeoutMs;
    const result = await this.run(notificationRpc(this.core, this.thread, RpcNotification.wait, value, timeout));
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
  }

  /** notif_send_sync(): wake the thread that waits for this value, or the next one that will. */
  async notify(value: number): Promise<void> {
    requireWord('a notification', value);
    await this.run(notificationRpc(this.core, this.thread, RpcNotification.send, value));
  }

  /** Request an RPC command from the normal world. Resolves with the result code; outputs are in the parameters. */
  rpc(command: number, parameters: RpcParameter[] = []): Promise<number> {
    return this.run(rpcCommand(this.core, this.thread, command, parameters));
  }

  /**
   * Shared memory for RPC commands, allocated by the normal world.
   * @param size bytes.
   * @throws TeeError OUT_OF_MEMORY.
   */
  async allocateRpcMemory(size: number, type?: RpcShmType): Promise<RpcMemory> {
    const memory = await this.run(allocateRpcMemory(this.core, this.thread, size, type));
    if (memory === undefined) throw new TeeError(TeeResult.ERROR_OUT_OF_MEMORY);
    return memory;
  }

  freeRpcMemory(memory: RpcMemory): Promise<void> {
    return this.run(freeRpcMemory(this.core, this.thread, memory));
  }

  /** Files of the normal world, through the supplicant. */
  get files(): FsRpc {
    return new FsRpc(this.core, this.thread, (routine) => this.run(routine));
  }

  /**
   * TEE_OpenTASession: a session of this application with another one, executed on this thread.
   * @throws TeeError with the result of the other application or of OP-TEE: ITEM_NOT_FOUND, BUSY.
   */
  openTaSession(uuid: Uuid): Promise<number> {
    return this.run(innerSessionsOf(this.core).open(this.thread, this.uuid, uuid));
  }

  /**
   * TEE_InvokeTACommand. While the other application is busy, the thread sleeps in the normal world and keeps its
   * context.
   * @throws TeeError with the result of the other application; BUSY if the thread would wait for itself.
   */
  invokeTa(session: number, command: number, parameters: readonly TaParameter[] = []): Promise<void> {
    return this.run(innerSessionsOf(this.core).invoke(this.thread, session, command, parameters));
  }

  /** TEE_CloseTASession. */
  closeTaSession(session: number): Promise<void> {
    return this.run(innerSessionsOf(this.core).close(this.thread, session));
  }

  /** A mutex of OP-TEE's core. */
  createMutex(): Mutex {
    return new Mutex(this.core.createWaitQueue());
  }

  /** Run `work` with a mutex held. While the mutex is locked, the thread sleeps in the normal world (NOTIFICATION). */
  async locked<T>(mutex: Mutex, work: () => Promise<T>): Promise<T> {
    await this.run(mutex.lock(this.thread));
    try {
      return await work();
    } finally {
      await this.run(mutex.unlock(this.thread));
    }
  }

  /**
   * The entry point returned; this object cannot be used any more.
   * @returns the operation that the thread still waits for, if the application did not await it.
   */
  end(): Promise<void> | undefined {
    this.ended = true;
    return this.pending;
  }

  private run<T>(routine: Routine<T>): Promise<T> {
    if (this.ended) return Promise.reject(new Error('an application continued after its entry point had returned'));
    if (this.pending !== undefined)
      return Promise.reject(new Error('an application made two requests at a time on one thread'));
    const work = later(routine);
    const done = () => {
      this.pending = undefined;
    };
    this.pending = work.then(done, done);
    return work;
  }
}

async function later<T>(routine: Routine<T>): Promise<T> {
  return start(routine);
}

/** The ABI has 32 bits for the value, and would truncate a larger one. */
function requireWord(what: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff))
    throw new RangeError(`${what} of ${show(value)}; allowed: integers from 0 to 4294967295`);
}
