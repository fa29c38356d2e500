import type { Clock } from '../../clock/clock.js';
import { RpcCommand, RpcFs, RpcSocket, rpcCommandName } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { isUint32 } from '../../protocol/uint32.js';
import type { TeeContext } from '../../tee/tee-context.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { commsError } from '../../tee/teec-error.js';
import type { Call } from '../call.js';
import { Listeners } from '../listeners.js';

/** Time limit for the supplicant to answer requests of session closes of a dead client, in milliseconds. */
const lastRequestMs = 10_000;

/**
 * What happens to requests that the supplicant has not taken when it detaches: they fail with COMMUNICATION, as in
 * Linux's optee_supp_release(), or they wait for the next supplicant.
 */
export type WaitingRequests = 'fail' | 'wait';

/** A request of secure world to the supplicant. */
export interface SupplicantRequest {
  readonly id: number;
  /** A `RpcCommand`. */
  readonly command: number;
  readonly params: readonly TeeParam[];
  /** The call for which secure world makes it. */
  readonly call: Call;
}

interface PendingRequest extends SupplicantRequest {
  /** Referenced until the supplicant answers, because it may write there even if the call has ended. */
  readonly memory: readonly TeeShm[];
  readonly finish: (result: number) => void;
  /** Cancels the request's time limit. */
  unlimit: (() => void) | undefined;
}

/**
 * Requests of secure world to the supplicant: Linux's `struct optee_supp`. A request waits for a supplicant to attach,
 * unless its client is in the kernel (Linux's `supp_nowait`). Requests of dead clients, and requests whose supplicant
 * has detached, are answered with COMMUNICATION.
 */
export class SupplicantQueue {
  private readonly waiting: PendingRequest[] = [];
  private readonly taken = new Map<number, PendingRequest>();
  /** Requests that were answered in the supplicant's place, while the supplicant may still be processing them. */
  private readonly abandoned = new Map<number, PendingRequest>();
  private receiver: ((request: SupplicantRequest | undefined) => void) | undefined;
  private attached = false;
  /** Called when a supplicant attaches or detaches. */
  readonly onChange = new Listeners();
  /** Why no request will be answered any more. */
  private closed: string | undefined;
  private nextId = 1;

  constructor(
    private readonly clock: Clock,
    private readonly waitingRequests: WaitingRequests,
  ) {}

  /** Whether a supplicant is attached. */
  get present(): boolean {
    return this.attached;
  }

  /** Commands of the requests that no supplicant has taken, for messages. */
  get waitingCommands(): readonly string[] {
    return this.waiting.map((request) => rpcCommandName(request.command));
  }

  /**
   * Send a request to the supplicant: `optee_supp_thrd_req()`. Resolves with the result; params are updated in place.
   * If the request cannot be sent, `call.trouble` says why.
   */
  request(call: Call, command: number, params: readonly TeeParam[]): Promise<number> {
    const refusal = this.refusal({ call, command, params });
    if (refusal !== undefined) {
      call.trouble ??= `${rpcCommandName(command)}: ${refusal}`;
      return Promise.resolve(TeeResult.ERROR_COMMUNICATION);
    }
    return new Promise((resolve) => {
      // The supplicant must learn of releases, but a dead client does not wait for that.
      if (givesBack({ command, params }) && call.context.killed) resolve(TeeResult.SUCCESS);
      const memory = params.flatMap((param) =>
        param.type === 'memref' && param.shm !== null ? [param.shm.get()] : [],
      );
      const finish = (result: number) => {
        request.unlimit?.();
        resolve(result);
      };
      const request: PendingRequest = { id: this.nextId++, call, command, params, memory, finish, unlimit: undefined };
      const { receiver } = this;
      if (receiver === undefined) {
        this.waiting.push(request);
      } else {
        this.receiver = undefined;
        this.taken.set(request.id, request);
        receiver(request);
      }
      if (call.context.killed) this.limit(request);
    });
  }

  /** Attach a supplicant. @throws TeecError BUSY if one is attached already. */
  attach(): void {
    if (this.attached)
      throw commsError(TeeResult.ERROR_BUSY, 'opening the supplicant device: a supplicant has it open');
    this.attached = true;
    this.onChange.tell();
  }

  /** Detach it: requests that it had taken are answered with COMMUNICATION, others as `WaitingRequests` says. */
  detach(): void {
    const wasAttached = this.attached;
    this.attached = false;
    const { receiver } = this;
    this.receiver = undefined;
    receiver?.(undefined);
    for (const request of this.taken.values()) this.abandon(request, 'the supplicant exited while it served this');
    for (const request of [...this.waiting]) {
      const refusal =
        this.refusal(request) ??
        (this.waitingRequests === 'fail' ? 'the supplicant exited before it took this' : undefined);
      if (refusal !== undefined) this.withdrawWaiting(request, refusal);
    }
    if (wasAttached) this.onChange.tell();
  }

  /** The next request: `optee_supp_recv()`. Undefined if the supplicant was detached meanwhile. */
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

  /**
   * Answer a request: `optee_supp_send()`. From then on the supplicant must not use its memory.
   * @param result a TEE_Result. An invalid value is sent to secure world as COMMUNICATION.
   * @returns false if the answer is not needed any more, because the client died or the supplicant had detached.
   * @throws TeecError ITEM_NOT_FOUND for a request that was never taken or is answered already, BAD_PARAMETERS for an
   * invalid result.
   */
  send(id: number, result: number): boolean {
    const late = this.abandoned.get(id);
    if (late !== undefined) {
      this.abandoned.delete(id);
      putAll(late.memory);
      return false;
    }
    const request = this.taken.get(id);
    if (request === undefined)
      throw commsError(TeeResult.ERROR_ITEM_NOT_FOUND, `answering supplicant request ${id}: no such request is open`);
    this.taken.delete(id);
    putAll(request.memory);
    const valid = isUint32(result);
    request.finish(valid ? result : TeeResult.ERROR_COMMUNICATION);
    if (valid) return true;
    request.call.trouble ??= `${rpcCommandName(request.command)}: the supplicant answered ${result}, which is not a result`;
    throw commsError(
      TeeResult.ERROR_BAD_PARAMETERS,
      `answering supplicant request ${id}: ${result} is not a TEE_Result, an integer from 0 to 4294967295`,
    );
  }

  /** A client died: withdraw its requests. */
  withdraw(context: TeeContext): void {
    for (const request of this.waiting.filter(({ call }) => call.context === context)) {
      const refusal = this.refusal(request);
      if (refusal !== undefined) this.withdrawWaiting(request, refusal);
      else if (givesBack(request)) request.finish(TeeResult.SUCCESS);
      else this.limit(request);
    }
    for (const request of this.taken.values()) {
      if (request.call.context !== context) continue;
      if (givesBack(request) || this.refusal(request) !== undefined)
        this.abandon(request, 'the client died before the supplicant had answered');
      else this.limit(request);
    }
  }

  /** Answer all requests with an error from now on: the driver is being removed, or secure world is dead. */
  close(why: string): void {
    this.closed ??= why;
    this.detach();
  }

  /** Why a request cannot be sent; undefined if it can. */
  private refusal({ call, ...asked }: Asked & { readonly call: Call }): string | undefined {
    if (this.closed !== undefined) return this.closed;
    // A supplicant's resources go with it. While it is attached, it must learn of releases.
    if (givesBack(asked)) return this.attached ? undefined : 'the supplicant exited';
    // Sessions of a dead client are closed with the supplicant's help, because a TA may have data to store.
    if (call.context.killed && !(this.attached && call.purpose === 'close-session'))
      return this.attached ? 'the client died' : 'the client died before a supplicant started';
    if (call.context.kernel && !this.attached)
      return 'there is no supplicant, and a kernel client does not wait for one';
    return undefined;
  }

  /** Limit the time that a dead client waits for requests of its session closes. */
  private limit(request: PendingRequest): void {
    request.unlimit ??= this.clock.setTimer(lastRequestMs, () => {
      const why = 'the client died, and the supplicant did not answer in time';
      if (this.waiting.includes(request)) this.withdrawWaiting(request, why);
      else if (this.taken.get(request.id) === request) this.abandon(request, why);
    });
  }

  private withdrawWaiting(request: PendingRequest, why: string): void {
    this.waiting.splice(this.waiting.indexOf(request), 1);
    putAll(request.memory);
    giveUp(request, why);
  }

  private abandon(request: PendingRequest, why: string): void {
    this.taken.delete(request.id);
    this.abandoned.set(request.id, request);
    giveUp(request, why);
  }
}

type Asked = Pick<SupplicantRequest, 'command' | 'params'>;

/**
 * Whether a request releases something that the supplicant holds for secure world: memory, a file, a socket. It is sent
 * even if the client has died. It is only sent to the supplicant that holds the resource, because others use its number
 * for something else.
 */
function givesBack({ command, params: [first] }: Asked): boolean {
  if (command === RpcCommand.shmFree) return true;
  if (first?.type !== 'value') return false;
  if (command === RpcCommand.fs) return first.a === RpcFs.close || first.a === RpcFs.closedir;
  return command === RpcCommand.socket && (first.a === RpcSocket.close || first.a === RpcSocket.closeAll);
}

function giveUp(request: PendingRequest, why: string): void {
  request.call.trouble ??= `${rpcCommandName(request.command)}: ${why}`;
  request.finish(TeeResult.ERROR_COMMUNICATION);
}

function putAll(memory: readonly TeeShm[]): void {
  // Memory that secure world does not release stays allocated; the ABI has reported it in the trace.
  for (const shm of memory) Promise.resolve(shm.put()).catch(() => undefined);
}
