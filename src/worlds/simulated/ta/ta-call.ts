import type { RpcShmType } from '../../../protocol/optee-rpc-command.js';
import { RpcCommand, RpcNotification } from '../../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
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

/** What an entry knows of its session. */
export interface CalledSession {
  readonly id: number;
  readonly client: ClientIdentity;
  /** Cancellation was asked for. */
  readonly cancelled: boolean;
  /** Cancellation is masked until the application unmasks it. */
  cancellationMasked: boolean;
}

/**
 * One entry into a trusted application: its parameters and what OP-TEE offers it while it executes.
 *
 * Everything that waits gives a promise and keeps the thread context until that settles. A thread does one
 * thing at a time: who asks for a second, or returns before the first is done, has a bug and panics.
 */
export class TaCall {
  private ended = false;
  /** What the thread waits for. */
  private pending: Promise<void> | undefined;

  constructor(
    private readonly core: Core,
    private readonly thread: Thread,
    private readonly taSession: CalledSession,
    /** The command of an invoke; 0 when a session opens or closes. */
    readonly command: number,
    /** Up to four; nothing where the client gave none. */
    readonly parameters: readonly TaParameter[],
    /** Of the application itself. */
    private readonly uuid: Uuid,
  ) {}

  /** The session, the same object in all its calls: a key for state that belongs to it. */
  get session(): { readonly id: number } {
    return this.taSession;
  }

  get client(): ClientIdentity {
    return this.taSession.client;
  }

  /**
   * A value parameter.
   * @throws TeeError BAD_PARAMETERS when it is none, or has another direction than asked for.
   */
  value(index: number, direction?: Direction): ValueParameter {
    const parameter = this.parameters[index];
    if (parameter instanceof ValueParameter && (direction ?? parameter.direction) === parameter.direction)
      return parameter;
    throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `parameter ${index} is not an ${direction ?? ''} value`);
  }

  /**
   * A memref parameter.
   * @throws TeeError BAD_PARAMETERS when it is none, or has another direction than asked for.
   */
  memref(index: number, direction?: Direction): MemrefParameter {
    const parameter = this.parameters[index];
    if (parameter instanceof MemrefParameter && (direction ?? parameter.direction) === parameter.direction)
      return parameter;
    throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `parameter ${index} is not an ${direction ?? ''} memref`);
  }

  /** TEE_Panic: this instance is dead. */
  panic(code: number): never {
    throw new TaPanic(code);
  }

  /** TEE_GetCancellationFlag: never set while cancellation is masked, as it is at the start of every entry. */
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

  /** TEE_GenerateRandom: from the generator the world was given. */
  random(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.core.random() * 256));
  }

  /** TEE_GetSystemTime, in milliseconds: secure world's own counter. */
  systemTime(): number {
    return Math.floor(this.core.clock.now());
  }

  /** TEE_GetREETime, in milliseconds since 1970: asks the normal world. */
  async reeTime(): Promise<number> {
    const time = rpcValue('output');
    const result = await this.rpc(RpcCommand.getTime, [time]);
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
    return time.a * 1000 + Math.floor(time.b / 1_000_000);
  }

  /**
   * TEE_Wait: sleep in the normal world, again and again until the time is over. A cancellation is noticed between two
   * sleeps, as in OP-TEE.
   * @param ms TEE_Wait counts whole milliseconds: a part of one counts as one.
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
      yield* rpcCommand(this.core, this.thread, RpcCommand.suspend, [rpcValue('input', timeout - elapsed)]);
    }
  }

  /** Be busy in secure world for that long. An interrupt for the normal world may take the thread out in between. */
  compute(ms: number): Promise<void> {
    return this.run(this.core.compute(this.thread, ms));
  }

  /**
   * notif_wait_timeout(): sleep in the normal world until somebody sends this value: secure world's interrupt handlers, or
   * another thread.
   * @param timeoutMs whole milliseconds; 0 waits for ever.
   * @throws TeeError TIMEOUT; BAD_PARAMETERS for a value that is waited for already.
   */
  async waitForNotification(value: number, timeoutMs = 0): Promise<void> {
    const result = await this.run(notificationRpc(this.core, this.thread, RpcNotification.wait, value, timeoutMs));
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
  }

  /** notif_send_sync(): wake who waits for this value, or the next who does. */
  async notify(value: number): Promise<void> {
    await this.run(notificationRpc(this.core, this.thread, RpcNotification.send, value));
  }

  /** Ask the normal world for an RPC command: a result code; what it returned is in the parameters. */
  rpc(command: number, parameters: RpcParameter[] = []): Promise<number> {
    return this.run(rpcCommand(this.core, this.thread, command, parameters));
  }

  /**
   * Shared memory for RPC commands, allocated by the normal world.
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

  /** Files of the normal world, through its supplicant. */
  get files(): FsRpc {
    return new FsRpc(this.core, this.thread, (routine) => this.run(routine));
  }

  /**
   * TEE_OpenTASession: a session of this application with another, executed on this thread.
   * @throws TeeError what the other or OP-TEE answers: ITEM_NOT_FOUND, BUSY.
   */
  openTaSession(uuid: Uuid): Promise<number> {
    return this.run(innerSessionsOf(this.core).open(this.thread, this.uuid, uuid));
  }

  /**
   * TEE_InvokeTACommand. Until the other application has room the thread sleeps in the normal world, its context kept.
   * @throws TeeError what the other answers; BUSY where it is in the way of itself.
   */
  invokeTa(session: number, command: number, parameters: readonly TaParameter[] = []): Promise<void> {
    return this.run(innerSessionsOf(this.core).invoke(this.thread, session, command, parameters));
  }

  /** TEE_CloseTASession. */
  closeTaSession(session: number): Promise<void> {
    return this.run(innerSessionsOf(this.core).close(this.thread, session));
  }

  /** A mutex of OP-TEE's core, shared by whoever has the object. */
  createMutex(): Mutex {
    return new Mutex(this.core.createWaitQueue());
  }

  /** Do something with a mutex held. Until it is free the thread sleeps in the normal world (NOTIFICATION). */
  async locked<T>(mutex: Mutex, work: () => Promise<T>): Promise<T> {
    await this.run(mutex.lock(this.thread));
    try {
      return await work();
    } finally {
      await this.run(mutex.unlock(this.thread));
    }
  }

  /**
   * The entry point returned: nothing more may be asked for through this call.
   * @returns what it still waits for on this thread, when it did not await all of it.
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
