import type { Clock } from '../../clock/clock.js';
import { RpcCommand, RpcFs, RpcSocket, rpcCommandName } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { TeeContext } from '../../tee/tee-context.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { commsError } from '../../tee/teec-error.js';
import type { Call } from '../call.js';
import { Listeners } from '../listeners.js';

/** How long the sessions of a client that died may wait for the supplicant to close, in milliseconds. */
const lastRequestMs = 10_000;

/**
 * What becomes of requests that nobody has taken yet when the supplicant leaves: they fail with COMMUNICATION, as Linux's
 * optee_supp_release() has it, or wait for the next supplicant.
 */
export type WaitingRequests = 'fail' | 'wait';

/** A request of secure world on its way to the supplicant. */
export interface SupplicantRequest {
  readonly id: number;
  /** A `RpcCommand`. */
  readonly command: number;
  readonly params: readonly TeeParam[];
  /** The call that secure world makes it for. */
  readonly call: Call;
}

interface PendingRequest extends SupplicantRequest {
  /** Held for the supplicant: it may write there until it answers, whatever has become of the call. */
  readonly memory: readonly TeeShm[];
  readonly finish: (result: number) => void;
  /** Stops the clock of a request that is limited in time. */
  unlimit: (() => void) | undefined;
}

/**
 * Requests of secure world to the supplicant: Linux's `struct optee_supp`. A request waits for a supplicant to come,
 * unless it is a kernel client's (Linux's `supp_nowait`). What was asked while a supplicant was there that left, or for a
 * client that died, is answered with COMMUNICATION: nobody is left who would answer, or who would want it.
 */
export class SupplicantQueue {
  private readonly waiting: PendingRequest[] = [];
  private readonly taken = new Map<number, PendingRequest>();
  /** Answered for the supplicant, which may still be at work on them. */
  private readonly abandoned = new Map<number, PendingRequest>();
  private receiver: ((request: SupplicantRequest | undefined) => void) | undefined;
  private attached = false;
  /** Are told when a supplicant comes or goes. */
  readonly onChange = new Listeners();
  /** Why nobody will ever answer. */
  private closed: string | undefined;
  private nextId = 1;

  constructor(
    private readonly clock: Clock,
    private readonly waitingRequests: WaitingRequests,
  ) {}

  /** A supplicant has the place. */
  get present(): boolean {
    return this.attached;
  }

  /** Requests that nobody has taken yet, for whoever asks why a call hangs. */
  get waitingCommands(): readonly string[] {
    return this.waiting.map((request) => rpcCommandName(request.command));
  }

  /**
   * Ask the supplicant: `optee_supp_thrd_req()`. Resolves with the result; params are updated in place. When there is
   * nobody to ask, `call.trouble` says so.
   */
  request(call: Call, command: number, params: readonly TeeParam[]): Promise<number> {
    const refusal = this.refusal({ call, command, params });
    if (refusal !== undefined) {
      call.trouble ??= `${rpcCommandName(command)}: ${refusal}`;
      return Promise.resolve(TeeResult.ERROR_COMMUNICATION);
    }
    return new Promise((resolve) => {
      // It must learn of what is freed; a client that died does not wait until it has.
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

  /** A supplicant takes the place. @throws TeecError BUSY when another has it. */
  attach(): void {
    if (this.attached)
      throw commsError(TeeResult.ERROR_BUSY, 'opening the supplicant device: a supplicant has it open');
    this.attached = true;
    this.onChange.tell();
  }

  /** It goes: what it had taken is answered with COMMUNICATION, and what it had not as `WaitingRequests` says. */
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

  /**
   * Answer a request: `optee_supp_send()`. From here on the supplicant leaves its memory alone.
   * @param result a TEE_Result. What is none goes to secure world as COMMUNICATION.
   * @returns false when nobody waits for the answer any more, though somebody did: the client died, or the supplicant
   *   had left.
   * @throws TeecError ITEM_NOT_FOUND for a request that was never taken or is answered already, BAD_PARAMETERS for a
   *   result that is none.
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
    const valid = Number.isInteger(result) && result >= 0 && result <= 0xffff_ffff;
    request.finish(valid ? result : TeeResult.ERROR_COMMUNICATION);
    if (valid) return true;
    request.call.trouble ??= `${rpcCommandName(request.command)}: the supplicant answered ${result}, which is not a result`;
    throw commsError(
      TeeResult.ERROR_BAD_PARAMETERS,
      `answering supplicant request ${id}: ${result} is not a TEE_Result, an integer from 0 to 4294967295`,
    );
  }

  /** A client died: nothing is asked for it any more. */
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

  /** Nobody will ever answer: the driver goes, or secure world is dead. */
  close(why: string): void {
    this.closed ??= why;
    this.detach();
  }

  /** Why there is no point in asking; undefined when there is one. */
  private refusal({ call, ...asked }: Asked & { readonly call: Call }): string | undefined {
    if (this.closed !== undefined) return this.closed;
    // What a supplicant had open goes with it. As long as it is there, it must learn of what is closed.
    if (givesBack(asked)) return this.attached ? undefined : 'the supplicant exited';
    // Its sessions close in good order: a TA may have something to store.
    if (call.context.killed && !(this.attached && call.purpose === 'close-session'))
      return this.attached ? 'the client died' : 'the client died before a supplicant started';
    if (call.context.kernel && !this.attached)
      return 'there is no supplicant, and a kernel client does not wait for one';
    return undefined;
  }

  /** A client that died waits for the last requests of its sessions, but not for ever. */
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
 * It gives back what the supplicant holds for secure world: memory, a file, a socket. It is asked whoever has died, as
 * nobody else knows of it; and of the supplicant that holds it only, as another has its numbers for other things.
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
  // What secure world does not let go of stays allocated; the ABI has said so in the trace.
  for (const shm of memory) Promise.resolve(shm.put()).catch(() => undefined);
}
