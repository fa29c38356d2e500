import type { SupplicantQueue, SupplicantRequest } from '../optee/supplicant-queue.js';
import { RpcCommand, rpcCommandName } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { TeecError } from '../tee/teec-error.js';

/**
 * Serves one kind of request of secure world. It updates output parameters in place and returns a TEE result.
 * A thrown `TeecError` becomes its code; any other error becomes GENERIC and is reported.
 */
export type SupplicantService = (params: readonly TeeParam[]) => number | Promise<number>;

/** The driver's side of a supplicant: Linux's `/dev/teepriv0`. */
export type SupplicantDevice = Pick<SupplicantQueue, 'attach' | 'detach' | 'receive' | 'send'>;

export interface SupplicantOptions {
  /** By `RpcCommand`. What is not here is answered with NOT_SUPPORTED. */
  readonly services: ReadonlyMap<number, SupplicantService>;
  /** Memory that secure world can reach, for SHM_ALLOC. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => TeeShm | Promise<TeeShm>;
  /** A service failed in a way that is no TEE result. */
  readonly onError: (error: unknown) => void;
}

/**
 * The supplicant: OP-TEE's helper in the normal world's user space (tee-supplicant). It takes requests as they come and
 * serves them side by side, so that one that waits does not hold up the others.
 */
export class Supplicant implements Disposable, AsyncDisposable {
  private readonly memory = new Map<number, TeeShm>();
  private readonly serving = new Set<Promise<void>>();
  private readonly loop: Promise<void>;
  private left = false;

  /** Takes the supplicant's place at once. @throws TeecError BUSY when another has it. */
  constructor(
    private readonly device: SupplicantDevice,
    private readonly options: SupplicantOptions,
  ) {
    device.attach();
    this.loop = this.run();
  }

  /** Leave the place: requests being served are answered with COMMUNICATION, their services go on to their ends. */
  [Symbol.dispose](): void {
    if (this.left) return;
    this.left = true;
    this.device.detach();
    this.freeWhenIdle();
  }

  /** Leave, and wait for the services. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.loop;
    await Promise.all(this.serving);
  }

  /** The memory that secure world got from this supplicant goes with it, but not while a service may write there. */
  private freeWhenIdle(): void {
    if (this.serving.size > 0) return;
    // What secure world does not let go of stays allocated; the driver has said so in its trace.
    for (const shm of this.memory.values()) Promise.resolve(shm.put()).catch(() => undefined);
    this.memory.clear();
  }

  private async run(): Promise<void> {
    for (;;) {
      const request = await this.device.receive();
      if (request === undefined) return;
      const served: Promise<void> = this.serve(request).finally(() => {
        this.serving.delete(served);
        if (this.left) this.freeWhenIdle();
      });
      this.serving.add(served);
      // Another may have the place by now: its requests are not ours.
      if (this.left) return;
    }
  }

  private async serve(request: SupplicantRequest): Promise<void> {
    let result: number;
    try {
      result = await this.result(request);
      if (!(Number.isInteger(result) && result >= 0 && result <= 0xffff_ffff))
        throw new TypeError(
          `the service for ${rpcCommandName(request.command)} answered ${result}, which is no TEE result`,
        );
    } catch (error) {
      if (!(error instanceof TeecError)) this.options.onError(error);
      result = error instanceof TeecError ? error.code : TeeResult.ERROR_GENERIC;
    }
    // It may have been answered for us meanwhile; then this only says that we are through with it.
    this.device.send(request.id, result);
  }

  private result(request: SupplicantRequest): number | Promise<number> {
    switch (request.command) {
      case RpcCommand.shmAlloc:
        return this.shmAlloc(request.params[0]);
      case RpcCommand.shmFree:
        return this.shmFree(request.params[0]);
      default: {
        const service = this.options.services.get(request.command);
        return service === undefined ? TeeResult.ERROR_NOT_SUPPORTED : service(request.params);
      }
    }
  }

  private async shmAlloc(param: TeeParam | undefined): Promise<number> {
    if (param?.type !== 'value') return TeeResult.ERROR_BAD_PARAMETERS;
    const shm = await this.options.allocate(param.b);
    this.memory.set(shm.id, shm);
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
