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

/** How long a supplicant that leaves waits for its services, in milliseconds of the machine's clock. */
const leaveLimitMs = 5_000;

export interface SupplicantOptions {
  /** By `RpcCommand`. What is not here is answered with NOT_SUPPORTED. */
  readonly services: ReadonlyMap<number, SupplicantService>;
  /** Memory that secure world can reach, for SHM_ALLOC. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => TeeShm | Promise<TeeShm>;
  /** The machine failed, or a service did. The request has got a result; `cause` is what was thrown. Must not throw. */
  readonly onFailure: (failure: TeecError) => void;
  /** It has left, and what its services had open is closed. */
  readonly onReleased: () => void;
}

/**
 * The supplicant: OP-TEE's helper in the normal world's user space (tee-supplicant). It takes requests as they come and
 * serves them side by side, so that one that waits does not hold up the others.
 */
export class Supplicant implements Disposable, AsyncDisposable {
  /** Resolves when it has left and what its services had open is closed, or could not be in `leaveLimitMs`. */
  readonly released: Promise<void>;
  private readonly memory = new Map<number, TeeShm>();
  private readonly serving = new Map<Promise<void>, SupplicantRequest>();
  private readonly loop: Promise<void>;
  private readonly services: ReadonlyMap<number, SupplicantService>;
  private release: () => void = () => {};
  private left = false;

  /** Takes the supplicant's place at once. @throws TeecError BUSY when another has it. */
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

  /** Leave the place: requests being served are answered with COMMUNICATION, their services go on to their ends. */
  [Symbol.dispose](): void {
    if (this.left) return;
    this.left = true;
    this.device.detach();
    this.release();
    this.freeWhenIdle();
  }

  /** Leave, and wait for the services: five seconds at most, after which those that still run are reported. */
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

  /** The memory that secure world got from this supplicant goes with it, but not while a service may write there. */
  private freeWhenIdle(): void {
    if (this.serving.size > 0) return;
    // What secure world does not let go of stays allocated; the driver has said so in its trace.
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
        // Another may have the place by now: its requests are not ours.
        if (this.left) return;
      }
    } catch (error) {
      // A device that somebody put in between. Without requests there is nothing to stay for.
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
      // What is asked for and not there is no trouble: OP-TEE looks whether a file exists by opening it.
      if (failure.cause !== undefined || result !== TeeResult.ERROR_ITEM_NOT_FOUND)
        request.call.trouble ??= failure.message.includes(rpcCommandName(request.command))
          ? failure.message
          : `${rpcCommandName(request.command)}: ${failure.message}`;
    }
    try {
      // It may have been answered for us meanwhile; then this only says that we are through with it.
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

/** @throws Error when it takes longer than a supplicant that leaves may wait, saying for what. */
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
