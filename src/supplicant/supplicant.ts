import type { SupplicantQueue, SupplicantRequest } from '../optee/supplicant-queue.js';
import { RpcCommand } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { TeecError } from '../tee/teec-error.js';

/**
 * Serves one kind of request of secure world. It updates output parameters in place and returns a TEE result.
 * A thrown `TeecError` becomes its code; any other error becomes GENERIC and is reported.
 */
export type SupplicantService = (params: readonly TeeParam[]) => number | Promise<number>;

export interface SupplicantOptions {
  /** By `RpcCommand`. What is not here is answered with NOT_SUPPORTED. */
  readonly services: ReadonlyMap<number, SupplicantService>;
  /** Memory that secure world can reach, for SHM_ALLOC. @throws TeecError OUT_OF_MEMORY */
  readonly allocate: (size: number) => TeeShm;
  /** A service failed in a way that is no TEE result. */
  readonly onError: (error: unknown) => void;
}

/**
 * The supplicant: OP-TEE's helper in the normal world's user space (tee-supplicant). It takes requests as they come and
 * serves them side by side, so that one that waits does not hold up the others.
 */
export class Supplicant implements AsyncDisposable {
  private readonly memory = new Map<number, TeeShm>();
  private readonly serving = new Set<Promise<void>>();
  private readonly loop: Promise<void>;
  private left = false;

  /** Takes the supplicant's place at once. @throws TeecError BUSY when another has it. */
  constructor(
    private readonly queue: SupplicantQueue,
    private readonly options: SupplicantOptions,
  ) {
    queue.attach();
    this.loop = this.run();
  }

  /** Leave the place; requests being served are answered with COMMUNICATION. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.left) {
      this.left = true;
      this.queue.detach();
    }
    await this.loop;
    await Promise.all(this.serving);
    for (const shm of this.memory.values()) shm.put();
    this.memory.clear();
  }

  private async run(): Promise<void> {
    for (;;) {
      const request = await this.queue.receive();
      if (request === undefined) return;
      const served: Promise<void> = this.serve(request).finally(() => this.serving.delete(served));
      this.serving.add(served);
    }
  }

  private async serve(request: SupplicantRequest): Promise<void> {
    let result: number;
    try {
      result = await this.result(request);
    } catch (error) {
      if (!(error instanceof TeecError)) this.options.onError(error);
      result = error instanceof TeecError ? error.code : TeeResult.ERROR_GENERIC;
    }
    // Gone meanwhile: the queue has answered for us.
    if (this.queue.isOpen(request.id)) this.queue.send(request.id, result);
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

  private shmAlloc(param: TeeParam | undefined): number {
    if (param?.type !== 'value') return TeeResult.ERROR_BAD_PARAMETERS;
    const shm = this.options.allocate(param.b);
    this.memory.set(shm.id, shm);
    param.c = shm.id;
    return TeeResult.SUCCESS;
  }

  private shmFree(param: TeeParam | undefined): number {
    const shm = param?.type === 'value' ? this.memory.get(param.b) : undefined;
    if (shm === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
    this.memory.delete(shm.id);
    shm.put();
    return TeeResult.SUCCESS;
  }
}
