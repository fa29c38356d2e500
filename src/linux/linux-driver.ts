import { startTimer } from '../clock/timer.js';
import type { UnfinishedCall } from '../optee/unfinished-calls.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import { eachStep } from '../tee/each-step.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { InvokeRequest, OpenSessionRequest, TeeDriver, TeeReply, TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';
import type { CallPurpose } from '../trace/event.js';
import type { Trace } from '../trace/trace.js';
import { CancelArg, closeSessionArgSize, TeeIoctlRequest } from '../uapi/tee.js';
import { SlotOperation } from './call-slot.js';
import type { StartedCall } from './call-threads.js';
import type { DeviceDoor } from './device-door.js';
import { errnoError } from './errno-error.js';
import { InvokeArguments, invokeReply, openSessionArgument, openSessionReply } from './request-argument.js';
import type { BlockingCall, CallingThread } from './thread-handle.js';

/**
 * First pause before a cancellation is repeated, in milliseconds. Each further pause is twice as long, up to the last.
 */
const firstPauseMs = 10;
const lastPauseMs = 640;

interface OpenSession {
  readonly id: number;
  /** Invoke calls that have not returned, by cancellation id. */
  readonly commands: Map<number, StartedCall>;
  idle: (() => void) | undefined;
}

/** An open file of the device. The kernel has a context for it. */
interface OpenFile {
  readonly fd: number;
  readonly sessions: Map<number, OpenSession>;
  calls: number;
  closing: boolean;
  idle: (() => void) | undefined;
}

/**
 * The driver of a TEE in a kernel: each context is an open file of `/dev/tee0`, each request an ioctl (uapi
 * linux/tee.h).
 */
export class LinuxDriver implements TeeDriver {
  /** Only if the kernel can access the buffer. */
  readonly registerBuffer?: NonNullable<TeeDriver['registerBuffer']>;
  private readonly files = new Map<TeeContext, OpenFile>();
  private readonly inFlight = new Map<number, Omit<UnfinishedCall, 'waitsFor' | 'call'>>();
  private readonly invokeArguments = new InvokeArguments();
  private lastCall = 0;
  /** Called when a thread takes a call, with the number of the call in the trace. */
  onTaken: ((call: number, thread: CallingThread) => void) | undefined;

  constructor(
    private readonly door: DeviceDoor,
    readonly trace: Trace,
  ) {
    const { register } = door.memory;
    if (register !== undefined)
      this.registerBuffer = (context, bytes) => this.inCall(context, ({ fd }) => register(fd, bytes));
  }

  get version(): TeeVersion {
    return this.door.version;
  }

  get sharedMemoryInUse(): number {
    return this.door.memory.bytesInUse;
  }

  /** Requests that have not returned. */
  unfinished(): readonly UnfinishedCall[] {
    return [...this.inFlight].map(([call, rest]) => ({ call, ...rest, waitsFor: `${this.door.whose}, which has it` }));
  }

  /** Accept no more requests. */
  end(): void {
    this.door.end();
  }

  open(context: TeeContext): void {
    const fd = this.door.open(context.label);
    this.files.set(context, { fd, sessions: new Map(), calls: 0, closing: false, idle: undefined });
  }

  abandon(context: TeeContext): void {
    const file = this.files.get(context);
    if (file === undefined) return;
    for (const session of file.sessions.values())
      for (const cancelId of session.commands.keys())
        void this.cancel(file, context, session, cancelId).catch(() => undefined);
  }

  async release(context: TeeContext): Promise<void> {
    const file = this.fileOf(context);
    file.closing = true;
    const closings = [...file.sessions.values()].map(async (session) => {
      if (session.commands.size > 0)
        await new Promise<void>((resolve) => {
          session.idle = resolve;
        });
      await this.closeFound(context, file, session);
    });
    await eachStep([
      () => eachStep(closings.map((closing) => () => closing)),
      () =>
        file.calls === 0
          ? undefined
          : new Promise<void>((resolve) => {
              file.idle = resolve;
            }),
      // Sessions whose open call returned after the context was closed.
      () => eachStep([...file.sessions.values()].map((session) => () => this.closeFound(context, file, session))),
    ]).finally(async () => {
      this.files.delete(context);
      await this.door.calls.run({ operation: SlotOperation.close, fd: file.fd });
    });
  }

  async openSession(
    context: TeeContext,
    request: OpenSessionRequest,
    params: readonly TeeParam[],
  ): Promise<TeeReply & { readonly session: number }> {
    const file = this.beginCall(context);
    try {
      const arg = openSessionArgument(request, params);
      const { fd } = file;
      const doing = `opening a session with ${request.uuid}`;
      await this.traced(context, 'open-session', 0, async (taken) => {
        const request = TeeIoctlRequest.openSession;
        const call = { operation: SlotOperation.ioctlBuffer, fd, request, arg: arg.bytes, taken };
        this.door.carryIn?.(params);
        const { result, errno } = await this.door.calls.run(call);
        if (result === -1) throw errnoError(errno, doing);
      });
      const reply = openSessionReply(arg, params);
      if (reply.result === TeeResult.SUCCESS) {
        file.sessions.set(reply.session, { id: reply.session, commands: new Map(), idle: undefined });
        if (this.trace.on)
          this.trace.emit({
            ...{ type: 'session-open', session: reply.session, context: context.label, uuid: request.uuid },
          });
      }
      return reply;
    } finally {
      this.endCall(file);
    }
  }

  async invoke(context: TeeContext, request: InvokeRequest, params: readonly TeeParam[]): Promise<TeeReply> {
    const file = this.beginCall(context);
    try {
      const session = this.findSession(file, request.session, 'invoking a command');
      const cancelId = request.cancelId === 0 ? context.newCancelId() : request.cancelId;
      const arg = this.invokeArguments.take(request.command, session.id, cancelId, params);
      const traced = this.beginTraced(context, 'invoke', session.id);
      try {
        this.door.carryIn?.(params);
        const { fd } = file;
        const taken = this.takenBy(traced);
        const call = {
          operation: SlotOperation.ioctlBuffer,
          fd,
          request: TeeIoctlRequest.invoke,
          arg: arg.bytes,
          taken,
        };
        const started = this.door.calls.start(call);
        session.commands.set(cancelId, started);
        const outcome = await started.outcome;
        if (outcome === undefined) return { result: TeeResult.ERROR_CANCEL, origin: TeeOrigin.COMMS };
        if (outcome.result === -1) throw errnoError(outcome.errno, 'invoking a command');
        const reply = invokeReply(arg, params);
        this.invokeArguments.giveBack(arg);
        return reply;
      } finally {
        this.endTraced(traced);
        session.commands.delete(cancelId);
        if (session.commands.size === 0) session.idle?.();
      }
    } finally {
      this.endCall(file);
    }
  }

  async cancelRequest(context: TeeContext, sessionId: number, cancelId: number): Promise<void> {
    const file = this.fileOf(context);
    await this.cancel(file, context, this.findSession(file, sessionId, 'cancelling a request'), cancelId);
  }

  async closeSession(context: TeeContext, sessionId: number): Promise<void> {
    const file = this.beginCall(context);
    try {
      await this.closeFound(context, file, this.findSession(file, sessionId, 'closing a session'));
    } finally {
      this.endCall(file);
    }
  }

  systemSession(): boolean {
    throw commsError(TeeResult.ERROR_NOT_SUPPORTED, 'a system session: only drivers inside the kernel have one');
  }

  allocateShm(context: TeeContext, size: number): Promise<TeeShm> {
    return this.inCall(context, ({ fd }) => this.door.memory.allocate(fd, size));
  }

  /** Memory to which a client's buffer is copied, if the kernel cannot register the buffer itself. */
  registerShm(context: TeeContext, size: number): Promise<TeeShm> {
    return this.allocateShm(context, size);
  }

  registerDescriptor(context: TeeContext, descriptor: number): Promise<TeeShm> {
    const { registerDescriptor } = this.door.memory;
    if (registerDescriptor === undefined)
      throw commsError(
        TeeResult.ERROR_NOT_SUPPORTED,
        `registering the memory of a descriptor: descriptors of this machine mean nothing to ${this.door.whose}`,
      );
    return this.inCall(context, ({ fd }) => registerDescriptor(fd, descriptor));
  }

  async remove(): Promise<void> {
    this.door.end();
  }

  private async closeFound(context: TeeContext, file: OpenFile, session: OpenSession): Promise<void> {
    file.sessions.delete(session.id);
    const arg = Buffer.alloc(closeSessionArgSize);
    arg.writeUInt32LE(session.id, 0);
    await this.traced(context, 'close-session', session.id, async (taken) => {
      const { fd } = file;
      const call = { operation: SlotOperation.ioctl, fd, request: TeeIoctlRequest.closeSession, arg, taken };
      const { result, errno } = await this.door.calls.run(call);
      if (result === -1) throw errnoError(errno, `closing session ${session.id}`);
    }).finally(() => {
      if (this.trace.on) this.trace.emit({ type: 'session-close', session: session.id, context: context.label });
    });
  }

  /**
   * A command that no thread has taken yet is withdrawn. For others, the kernel forwards the cancellation to secure
   * world. OP-TEE ignores a cancellation that arrives before its command, so it is repeated for a while.
   */
  private async cancel(file: OpenFile, context: TeeContext, session: OpenSession, cancelId: number): Promise<void> {
    const command = session.commands.get(cancelId);
    if (command?.withdraw() === true) return;
    await this.tellCancellation(file, context, session, cancelId);
    if (command === undefined) return;
    const again = (pauseMs: number) => {
      if (session.commands.get(cancelId) !== command) return;
      const stop = startTimer(
        pauseMs,
        () => {
          if (session.commands.get(cancelId) !== command) return;
          this.tellCancellation(file, context, session, cancelId).then(
            () => (pauseMs < lastPauseMs ? again(2 * pauseMs) : undefined),
            () => undefined,
          );
        },
        { background: true },
      );
      void command.outcome.finally(stop).catch(() => undefined);
    };
    again(firstPauseMs);
  }

  private async tellCancellation(
    file: OpenFile,
    context: TeeContext,
    session: OpenSession,
    cancelId: number,
  ): Promise<void> {
    const arg = Buffer.alloc(CancelArg.size);
    arg.writeUInt32LE(cancelId, CancelArg.cancelId);
    arg.writeUInt32LE(session.id, CancelArg.session);
    file.calls++;
    try {
      await this.traced(context, 'cancel', session.id, async (taken) => {
        const call = { operation: SlotOperation.ioctl, fd: file.fd, request: TeeIoctlRequest.cancel, arg, taken };
        const { result, errno } = await this.door.calls.runUrgent(call);
        if (result === -1) throw errnoError(errno, `cancelling a request of session ${session.id}`);
      });
    } finally {
      this.endCall(file);
    }
  }

  /** A request is one call in the trace. What the kernel does for it is not in this trace. */
  private async traced<T>(
    context: TeeContext,
    purpose: CallPurpose,
    session: number,
    make: (taken: BlockingCall['taken']) => Promise<T>,
  ): Promise<T> {
    const call = this.beginTraced(context, purpose, session);
    try {
      return await make(this.takenBy(call));
    } finally {
      this.endTraced(call);
    }
  }

  private takenBy(call: number): BlockingCall['taken'] {
    const { onTaken } = this;
    return onTaken === undefined ? undefined : (thread) => onTaken(call, thread);
  }

  /** A number for a call in the trace. */
  newCallNumber(): number {
    return ++this.lastCall;
  }

  /** @returns the call's number, for `endTraced`. */
  private beginTraced({ label }: TeeContext, purpose: CallPurpose, session: number): number {
    const call = this.newCallNumber();
    this.inFlight.set(call, { context: label, purpose, session });
    const { trace } = this;
    if (trace.on) trace.emit({ type: 'call-begin', call, context: label, purpose, session, system: false });
    return call;
  }

  private endTraced(call: number): void {
    this.inFlight.delete(call);
    if (this.trace.on) this.trace.emit({ type: 'call-end', call, smcReturn: 0 });
  }

  private async inCall<T>(context: TeeContext, make: (file: OpenFile) => Promise<T>): Promise<T> {
    const file = this.beginCall(context);
    try {
      return await make(file);
    } finally {
      this.endCall(file);
    }
  }

  private fileOf(context: TeeContext): OpenFile {
    const file = this.files.get(context);
    if (file === undefined) throw commsError(TeeResult.ERROR_BAD_STATE, `context ${context.label} is closed`);
    return file;
  }

  private beginCall(context: TeeContext): OpenFile {
    const file = this.fileOf(context);
    if (file.closing) throw commsError(TeeResult.ERROR_BAD_STATE, `context ${context.label} is being closed`);
    file.calls++;
    return file;
  }

  private endCall(file: OpenFile): void {
    file.calls--;
    if (file.calls === 0) file.idle?.();
  }

  private findSession(file: OpenFile, id: number, doing: string): OpenSession {
    const session = file.sessions.get(id);
    if (session === undefined)
      throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `${doing}: session ${id} is not open in this context`);
    return session;
  }
}
