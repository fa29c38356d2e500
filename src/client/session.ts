import type { OptionNames } from '../known-options.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import type { Uuid } from '../protocol/uuid.js';
import { show } from '../show.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeDevice } from '../tee/tee-device.js';
import type { TeeReply } from '../tee/tee-driver.js';
import { badParameters, checkOptions, TeecError } from '../tee/teec-error.js';
import { type CallLimits, checkLimit, endBesides, LimitedCall } from './call-limit.js';
import { Operation } from './operation.js';
import type { ParameterOutputs, Parameters } from './parameters.js';
import type { TemporaryMemory } from './temporary-memory.js';

/** Options of `Session.invoke`. */
export interface InvokeOptions {
  /**
   * Cancels the request (TEEC_RequestCancellation). The TA may ignore a cancellation. If the signal is aborted before
   * the call, the call is not made.
   */
  readonly signal?: AbortSignal;
  /**
   * The limit of the call in milliseconds; Infinity means no limit. Default: the TEE's `callLimitMs`. A call that
   * exceeds its limit fails with TIMEOUT from COMMS. It stays in secure world until it returns by itself.
   */
  readonly limitMs?: number;
}

const invokeNames: OptionNames<InvokeOptions> = { signal: true, limitMs: true };
/** From this size on, the memory of the parameters may be why memory is used up. */
const largeMemory = 2 ** 20;
const noOptions: InvokeOptions = {};

/** TEEC_Session: a client's session with one trusted application. */
export class Session implements AsyncDisposable {
  private closed: Promise<void> | undefined;

  /** Made by `Context.openSession`. */
  constructor(
    /** The trusted application. */
    readonly uuid: Uuid,
    /** Secure world's id of the session. */
    readonly id: number,
    protected readonly device: TeeDevice,
    protected readonly context: TeeContext,
    private readonly temporaryMemory: TemporaryMemory,
    private readonly limits: CallLimits,
  ) {}

  /**
   * TEEC_InvokeCommand.
   * @param command the TA's command, 0..2^32-1.
   * @returns the result of each parameter.
   * @throws TeecError BAD_PARAMETERS from API if the request cannot be sent; otherwise the error of the TA or of a
   *   layer on the way. Its `outputs` hold the returned parameters, and its `sizes` the sizes that a TA requires with
   *   SHORT_BUFFER.
   */
  invoke<const P extends Parameters>(
    command: number,
    parameters: P,
    options?: InvokeOptions,
  ): Promise<ParameterOutputs<P>>;
  invoke(command: number): Promise<readonly []>;
  async invoke(command: number, parameters: Parameters = [], options = noOptions): Promise<unknown> {
    const doing = () => `invoking command ${show(command)} of ${this.uuid}`;
    if (!(Number.isInteger(command) && command >= 0 && command <= 0xffff_ffff))
      throw badParameters(`command ${show(command)} of ${this.uuid}; allowed: integers from 0 to 4294967295`);
    if (options !== noOptions) checkInvokeOptions(doing(), options);
    const { signal, limitMs = this.limits.callLimitMs } = options;
    if (signal?.aborted) throw new TeecError(TeeResult.ERROR_CANCEL, TeeOrigin.API, doing());
    const operation = new Operation(parameters, this.temporaryMemory);
    const prepared = operation.prepare();
    if (prepared !== undefined) await prepared;
    const isLimited = limitMs !== Number.POSITIVE_INFINITY;
    const call = isLimited ? new LimitedCall(this.limits, limitMs, doing) : undefined;
    try {
      const cancelId = signal === undefined && !isLimited ? 0 : this.context.newCancelId();
      const pending = this.device.invoke(this.context, { session: this.id, command, cancelId }, operation.params);
      const limited = call?.result(pending, () => void this.cancel(cancelId)) ?? pending;
      const reply = await (signal === undefined ? limited : this.cancellable(limited, signal, cancelId));
      const outputs = operation.outputs();
      if (reply.result !== TeeResult.SUCCESS)
        throw new TeecError(reply.result, reply.origin, withTrouble(doing(), reply, operation), {
          outputs,
          sizes: operation.sizes(),
          panic: reply.panic,
        });
      return outputs;
    } finally {
      const released = call === undefined ? operation.release() : call.release(() => operation.release());
      if (released !== undefined) await released;
    }
  }

  /**
   * TEEC_CloseSession. The trusted OS waits for calls in flight. This method waits only 500 ms for overdue calls; the
   * session then closes later. A second call has no further effect.
   * @throws TeecError TIMEOUT from COMMS after the TEE's `callLimitMs`; the session continues to close.
   */
  close(): Promise<void> {
    if (this.closed === undefined) {
      const doing = () => `closing session ${this.id} with ${this.uuid}`;
      const call = new LimitedCall(this.limits, this.limits.callLimitMs, doing);
      const closing = this.device.closeSession(this.context, this.id);
      // There is nothing to cancel in the closing of a session.
      this.closed = endBesides(
        this.limits,
        call.result(closing, () => undefined),
      );
    }
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Best effort: the request may have returned, and its session may be closed, before the cancellation arrives. */
  private cancel(cancelId: number): Promise<void> {
    return this.device.cancelRequest(this.context, this.id, cancelId).catch(() => undefined);
  }

  private async cancellable<T>(pending: Promise<T>, signal: AbortSignal, cancelId: number): Promise<T> {
    let cancelling: Promise<void> | undefined;
    const cancel = () => {
      cancelling = this.cancel(cancelId);
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await pending;
    } finally {
      signal.removeEventListener('abort', cancel);
      await cancelling;
    }
  }
}

function checkInvokeOptions(doing: string, options: InvokeOptions): void {
  checkOptions(doing, options, invokeNames);
  const { signal, limitMs } = options;
  if (limitMs !== undefined) checkLimit(doing, limitMs);
  if (signal !== undefined && !(typeof signal?.addEventListener === 'function' && typeof signal.aborted === 'boolean'))
    throw badParameters(`${doing}: the signal is not an AbortSignal`);
}

/**
 * The text of an error: the operation, what went wrong on the way, and which buffer was too small. The result code
 * alone says less.
 */
export function withTrouble(doing: string, { trouble, result }: TeeReply, operation: Operation): string {
  const excess = operation.excess();
  const size = operation.memorySize();
  // The trusted OS maps the memory of all parameters into the application.
  const isLarge = result === TeeResult.ERROR_OUT_OF_MEMORY && size >= largeMemory;
  // A call stack has lines of its own.
  const [what, ...details] = trouble?.split('\n') ?? [undefined];
  const more = [what, excess, isLarge ? `its parameters have ${size} bytes of memory` : undefined].filter(
    (each) => each !== undefined,
  );
  return [more.length === 0 ? doing : `${doing} (${more.join('; ')})`, ...details].join('\n');
}

/** A session of a client inside the kernel. */
export class KernelSession extends Session {
  /**
   * Keep a thread context of secure world in reserve for the calls of this session: Linux's
   * `tee_client_system_session()`.
   * @returns false if that is not possible (secure world has only one thread, or does not report the number): the
   *   session works, but the deadlock that the reserve prevents is possible.
   */
  systemSession(): boolean {
    return this.device.systemSession(this.context, this.id);
  }
}
