import { machineClock, sleep } from '../clock/clock.js';
import type { SupplicantQueue, SupplicantRequest } from '../optee/rpc/supplicant-queue.js';
import { RpcCommand, rpcCommandName } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { TeecError } from '../tee/teec-error.js';
import { failureOf, guarded } from './service-boundary.js';
import type { Serving, SupplicantService } from './supplicant-service.js';

/** The driver's side of a supplicant: Linux's `/dev/teepriv0`. */
export type SupplicantDevice = Pick<SupplicantQueue, 'attach' | 'detach' | 'receive' | 'send'>;

/** Time that a leaving supplicant waits for its services, in milliseconds of the machine's clock. */
const leaveLimitMs = 5_000;

export interface SupplicantOptions {
  /** By `RpcCommand`. Other requests are answered with NOT_SUPPORTED. */
  readonly services: ReadonlyMap<number, SupplicantService>;
  /** Allocates memory that secure world can access, for SHM_ALLOC. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => TeeShm | Promise<TeeShm>;
  /**
   * Called when the machine or a service failed. The request has been answered; `cause` is the original error. Must not
   * throw.
   */
  readonly onFailure: (failure: TeecError) => void;
  /** Called when it has left and all resources of its services are closed. */
  readonly onReleased: () => void;
}

/**
 * The supplicant: OP-TEE's daemon in the normal world's user space (tee-supplicant). It serves requests concurrently,
 * so a slow request does not delay the others.
 */
export class Supplicant implements Disposable, AsyncDisposable {
  /** Resolves when it has left and its services are closed, or after `leaveLimitMs`. */
  readonly released: Promise<void>;
  private readonly memory = new Map<number, TeeShm>();
  private readonly serving = new Map<Promise<void>, SupplicantRequest>();
  private readonly loop: Promise<void>;
  private readonly services: ReadonlyMap<number, SupplicantService>;
  private release: () => void = () => {};
  private left = false;

  /** Becomes the supplicant of the device at once. @throws TeecError BUSY if there is another one. */
  constructor(
    private readonly device: SupplicantDevice,
    private readonly options: SupplicantOptions,
  ) {
    this.services = new Map([...options.services].map(([command, service]) => [command, guarded(command, service)]));
    this.released = new Promise<void>((leave) => {
      this.release = leave;
    })
      .then(() => this.leaveServices())
      .then(() => options.onReleased());
    device.attach();
    this.loop = this.run();
  }

  /** Leave: pending requests are answered with COMMUNICATION; their services run to the end. */
  [Symbol.dispose](): void {
    if (this.left) return;
    this.left = true;
    this.device.detach();
    this.release();
    this.freeWhenIdle();
  }

  /** Leave and wait for the services, five seconds at most. Services that still run then are reported. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await inTime(Promise.all([this.loop, ...this.serving.keys()]), () =>
      [...this.serving.values()].map(({ command }) => rpcCommandName(command)).join(', '),
    ).catch((error: unknown) => this.report(error));
    await this.released;
  }

  private async leaveServices(): Promise<void> {
    const leaving = [...this.services].map(async ([command, service]) => {
      try {
        await service.leave?.();
      } catch (error) {
        this.report(failureOf(error, command));
      }
    });
    await inTime(Promise.all(leaving), () => 'their open files and sockets').catch((error: unknown) =>
      this.report(error),
    );
  }

  /** Release the memory that secure world got from this supplicant, but not while a service may write it. */
  private freeWhenIdle(): void {
    if (this.serving.size > 0) return;
    // Memory that secure world does not release stays allocated; the driver has reported it in its trace.
    for (const shm of this.memory.values()) Promise.resolve(shm.put()).catch(() => undefined);
    this.memory.clear();
  }

  private async run(): Promise<void> {
    try {
      for (;;) {
        const request = await this.device.receive();
        if (request === undefined) return;
        const served: Promise<void> = this.serve(request).finally(() => {
          this.serving.delete(served);
          if (this.left) this.freeWhenIdle();
        });
        this.serving.set(served, request);
        // Another supplicant may be attached now; its requests must not be taken.
        if (this.left) return;
      }
    } catch (error) {
      // A device between the supplicant and the driver failed. Without requests the supplicant has no work.
      this.report(error);
      this[Symbol.dispose]();
    }
  }

  private async serve(request: SupplicantRequest): Promise<void> {
    const undo: (() => void | Promise<void>)[] = [];
    const serving: Serving = {
      ifUnwanted: (action) => void undo.push(action),
      remark: (why) => {
        request.call.trouble ??= `${rpcCommandName(request.command)}: ${why}`;
      },
      report: (failure) => this.report(failureOf(failure, request.command)),
    };
    let result: number;
    try {
      result = await this.result(request, serving);
    } catch (error) {
      const failure = failureOf(error, request.command);
      result = failure.code;
      if (failure.cause !== undefined) this.report(failure);
      // A missing object is not a problem: OP-TEE opens a file to find out whether it exists.
      if (failure.cause !== undefined || result !== TeeResult.ERROR_ITEM_NOT_FOUND)
        request.call.trouble ??= failure.message.includes(rpcCommandName(request.command))
          ? failure.message
          : `${rpcCommandName(request.command)}: ${failure.message}`;
    }
    try {
      // The driver may have answered the request already; then `send` only ends it.
      if (!this.device.send(request.id, result)) for (const action of undo) await action();
    } catch (error) {
      this.report(error);
    }
  }

  private report(error: unknown): void {
    const failure = failureOf(error, 0xffff_ffff);
    this.options.onFailure(failure);
  }

  private result(request: SupplicantRequest, serving: Serving): number | Promise<number> {
    switch (request.command) {
      case RpcCommand.shmAlloc:
        return this.shmAlloc(request.params[0], serving);
      case RpcCommand.shmFree:
        return this.shmFree(request.params[0]);
      default: {
        const service = this.services.get(request.command);
        return service === undefined ? TeeResult.ERROR_NOT_SUPPORTED : service(request.params, serving);
      }
    }
  }

  private async shmAlloc(param: TeeParam | undefined, serving: Serving): Promise<number> {
    if (param?.type !== 'value') return TeeResult.ERROR_BAD_PARAMETERS;
    const shm = await this.options.allocate(param.b);
    this.memory.set(shm.id, shm);
    serving.ifUnwanted(() => (this.memory.delete(shm.id) ? shm.put() : undefined));
    param.c = shm.id;
    return TeeResult.SUCCESS;
  }

  private async shmFree(param: TeeParam | undefined): Promise<number> {
    const shm = param?.type === 'value' ? this.memory.get(param.b) : undefined;
    if (shm === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
    this.memory.delete(shm.id);
    await shm.put();
    return TeeResult.SUCCESS;
  }
}

/** @throws Error naming what is waited for, if it takes longer than `leaveLimitMs`. */
async function inTime(work: Promise<unknown>, what: () => string): Promise<void> {
  const ended = new AbortController();
  const late = await Promise.race([
    work.then(() => false),
    sleep(machineClock, leaveLimitMs, ended.signal).then(() => true),
  ]);
  ended.abort();
  if (late)
    throw new Error(`the supplicant exited ${leaveLimitMs} ms ago, and its services have not finished: ${what()}`);
}
