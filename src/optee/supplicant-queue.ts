import { rpcCommandName } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeParam } from '../tee/tee-param.js';
import { commsError } from '../tee/teec-error.js';

/** A request of secure world on its way to the supplicant. */
export interface SupplicantRequest {
  readonly id: number;
  /** A `RpcCommand`. */
  readonly command: number;
  readonly params: readonly TeeParam[];
}

interface PendingRequest extends SupplicantRequest {
  readonly finish: (result: number) => void;
}

/**
 * Requests of secure world to the supplicant: Linux's `struct optee_supp`. A request waits for a supplicant to come; one
 * that a supplicant took when it went is answered with COMMUNICATION, as there is nobody left who knows of it.
 */
export class SupplicantQueue {
  private readonly waiting: PendingRequest[] = [];
  private readonly taken = new Map<number, PendingRequest>();
  private receiver: ((request: SupplicantRequest | undefined) => void) | undefined;
  private attached = false;
  private nextId = 1;

  /** A supplicant has the place. */
  get present(): boolean {
    return this.attached;
  }

  /** Requests that nobody has taken yet, for whoever asks why a call hangs. */
  get waitingCommands(): readonly string[] {
    return this.waiting.map((request) => rpcCommandName(request.command));
  }

  /** Ask the supplicant: `optee_supp_thrd_req()`. Resolves with the result; params are updated in place. */
  request(command: number, params: readonly TeeParam[]): Promise<number> {
    return new Promise((finish) => {
      const request = { id: this.nextId++, command, params, finish };
      if (this.receiver === undefined) this.waiting.push(request);
      else this.hand(request, this.receiver);
    });
  }

  /** A supplicant takes the place. @throws TeecError BUSY when another has it. */
  attach(): void {
    if (this.attached)
      throw commsError(TeeResult.ERROR_BUSY, 'opening the supplicant device: a supplicant has it open');
    this.attached = true;
  }

  /** It goes: what it had taken is answered with COMMUNICATION, what it had not is kept for the next. */
  detach(): void {
    this.attached = false;
    const receiver = this.receiver;
    this.receiver = undefined;
    receiver?.(undefined);
    for (const request of this.taken.values()) request.finish(TeeResult.ERROR_COMMUNICATION);
    this.taken.clear();
  }

  /** The next request: `optee_supp_recv()`. Undefined when the supplicant was detached meanwhile. */
  receive(): Promise<SupplicantRequest | undefined> {
    if (!this.attached) return Promise.resolve(undefined);
    const request = this.waiting.shift();
    if (request !== undefined) {
      this.taken.set(request.id, request);
      return Promise.resolve(request);
    }
    if (this.receiver !== undefined) throw new Error('the supplicant already waits for a request');
    return new Promise((resolve) => {
      this.receiver = resolve;
    });
  }

  /** The request was taken and waits for its answer. */
  isOpen(id: number): boolean {
    return this.taken.has(id);
  }

  /** Answer a request: `optee_supp_send()`. @throws TeecError ITEM_NOT_FOUND for a request that is not open. */
  send(id: number, result: number): void {
    const request = this.taken.get(id);
    if (request === undefined)
      throw commsError(TeeResult.ERROR_ITEM_NOT_FOUND, `answering supplicant request ${id}: no such request is open`);
    this.taken.delete(id);
    request.finish(result);
  }

  /** The driver goes: nobody will ever answer. */
  close(): void {
    this.detach();
    for (const request of this.waiting.splice(0)) request.finish(TeeResult.ERROR_COMMUNICATION);
  }

  private hand(request: PendingRequest, receiver: (request: SupplicantRequest) => void): void {
    this.receiver = undefined;
    this.taken.set(request.id, request);
    receiver(request);
  }
}
