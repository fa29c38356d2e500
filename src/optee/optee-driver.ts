import { attrMeta, type MsgArg, OpteeMsgAttr, OpteeMsgCmd } from '../protocol/optee-msg.js';
import { panicText } from '../protocol/panic-text.js';
import type { InterruptSource } from '../protocol/secure-world.js';
import { TeeOrigin, TeeResult, teeOriginName } from '../protocol/tee-result.js';
import { type Uuid, uuidOctets } from '../protocol/uuid.js';
import { eachStep } from '../tee/each-step.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { InvokeRequest, OpenSessionRequest, TeeDriver, TeeReply, TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';
import type { CallPurpose } from '../trace/trace.js';
import type { ArgCache, Entry, MessageSlot } from './arg-cache.js';
import { AsyncNotifications, type NotificationSource } from './async-notification.js';
import type { Call } from './call.js';
import type { Optee } from './optee.js';
import type { OpteeAbi } from './optee-abi.js';
import { beginInvoke, type ContextData, endInvoke, type OpteeSession, takesRelief } from './optee-session.js';

/** Meta parameters of OPEN_SESSION before the client's: the TA's UUID; the client's UUID and login class. */
const openSessionMetaParams = 2;

/** For calls without a session. */
const noSession = { id: 0, system: false, uuid: undefined } as const;

const ordinary: Entry = { system: false, relief: false };
const ofSystemSession: Entry = { system: true, relief: false };

/** The OP-TEE driver over one ABI: Linux's call.c. */
export class OpteeDriver implements TeeDriver {
  private readonly contexts = new Map<TeeContext, ContextData>();
  private notifications: AsyncNotifications | undefined;

  constructor(
    readonly optee: Optee,
    private readonly abi: OpteeAbi,
    private readonly argCache: ArgCache,
  ) {}

  get version(): TeeVersion {
    return this.abi.version;
  }

  open(context: TeeContext): void {
    this.contexts.set(context, {
      sessions: new Map(),
      systemSessions: 0,
      callsInFlight: 0,
      closing: false,
      idle: undefined,
    });
  }

  abandon(context: TeeContext): void {
    const data = this.contexts.get(context);
    // The context was released already.
    if (data === undefined) return;
    this.optee.supplicant.withdraw(context);
    this.optee.interrupt(context);
    // Cancel the pending calls, best effort: a call may be about to return, and the TA may ignore it. Afterwards wake
    // the calls that sleep in the normal world, so that they notice the cancellation.
    for (const session of data.sessions.values())
      if (session.calls > 0)
        void this.cancelRequest(context, session.id, 0)
          .catch(() => undefined)
          .then(() => this.optee.interrupt(context));
  }

  async release(context: TeeContext): Promise<void> {
    const data = this.dataOf(context);
    data.closing = true;
    const sessions = [...data.sessions.values()];
    // Close idle sessions first, without waiting for others: another client may wait for their TA.
    const busy = sessions.filter((session) => session.calls > 0);
    const closings = busy.map(async (session) => {
      await new Promise<void>((resolve) => {
        session.idle = resolve;
      });
      await this.closeFoundSession(context, data, session);
    });
    closings.push(this.closeAll(context, data, (session) => !busy.includes(session)));
    const closing = Promise.allSettled(closings);
    if (data.callsInFlight > 0)
      await new Promise<void>((resolve) => {
        data.idle = resolve;
      });
    await closing;
    // Sessions whose open call returned after the context was closed.
    const late = await Promise.allSettled([this.closeAll(context, data, () => true)]);
    this.contexts.delete(context);
    for (const result of [...(await closing), ...late]) if (result.status === 'rejected') throw result.reason;
  }

  async openSession(
    context: TeeContext,
    request: OpenSessionRequest,
    params: readonly TeeParam[],
  ): Promise<TeeReply & { readonly session: number }> {
    const data = this.beginCall(context);
    try {
      const slot = await this.argCache.acquire(ordinary);
      try {
        const msg = this.begin(slot, openSessionMetaParams + params.length);
        msg.cmd = OpteeMsgCmd.openSession;
        msg.cancelId = request.cancelId;
        msg.setParam(0, OpteeMsgAttr.valueInput | attrMeta, 0, 0, 0);
        msg.octets(0).set(uuidOctets(request.uuid));
        msg.setParam(1, OpteeMsgAttr.valueInput | attrMeta, 0, 0, request.client.loginClass);
        msg.octets(1).set(uuidOctets(request.client.uuid));
        for (let index = 0; index < params.length; index++)
          this.abi.toMsgParam(msg, openSessionMetaParams + index, paramAt(params, index));
        const call = this.newCall(context, 'open-session', 0, ordinary, request.uuid);
        await this.abi.call(call, slot);
        const reply = this.replyOf(msg, call, request.uuid);
        const session = msg.session;
        if (reply.result === TeeResult.SUCCESS) this.addSession(context, data, session, request.uuid);
        try {
          for (let index = 0; index < params.length; index++)
            this.abi.updateFromMsgParam(msg, openSessionMetaParams + index, paramAt(params, index));
        } catch (error) {
          // The client does not get the session's number, so close the session.
          const opened = reply.result === TeeResult.SUCCESS ? data.sessions.get(session) : undefined;
          if (opened !== undefined) await this.closeFoundSession(context, data, opened);
          throw error;
        }
        return { ...reply, session };
      } finally {
        this.argCache.release(slot);
      }
    } finally {
      this.endCall(data);
    }
  }

  async invoke(context: TeeContext, request: InvokeRequest, params: readonly TeeParam[]): Promise<TeeReply> {
    const data = this.beginCall(context);
    let session: OpteeSession | undefined;
    try {
      session = this.findSession(data, request.session, 'invoking a command');
      beginInvoke(session);
      // Decide the class now: the session may become a system session while the call waits for a slot.
      const entry = session.system ? ofSystemSession : ordinary;
      if (this.optee.schedule.fine) await this.comesToSlot(session.id);
      const acquired = this.argCache.acquire(entry);
      const slot = acquired instanceof Promise ? await acquired : acquired;
      try {
        const msg = this.begin(slot, params.length);
        msg.cmd = OpteeMsgCmd.invokeCommand;
        msg.func = request.command;
        msg.session = request.session;
        msg.cancelId = request.cancelId;
        for (let index = 0; index < params.length; index++) this.abi.toMsgParam(msg, index, paramAt(params, index));
        const call = this.newCall(context, 'invoke', session.id, entry, session.uuid);
        await this.abi.call(call, slot);
        const reply = this.replyOf(msg, call, session.uuid);
        for (let index = 0; index < params.length; index++)
          this.abi.updateFromMsgParam(msg, index, paramAt(params, index));
        return reply;
      } finally {
        this.argCache.release(slot);
      }
    } finally {
      if (session !== undefined) endInvoke(session);
      this.endCall(data);
    }
  }

  async cancelRequest(context: TeeContext, sessionId: number, cancelId: number): Promise<void> {
    const data = this.dataOf(context);
    const session = this.findSession(data, sessionId, 'cancelling a request');
    data.callsInFlight++;
    try {
      await this.shortCall(context, 'cancel', session, takesRelief(session), (msg) => {
        msg.cmd = OpteeMsgCmd.cancel;
        msg.session = sessionId;
        msg.cancelId = cancelId;
      });
    } finally {
      this.endCall(data);
    }
  }

  async closeSession(context: TeeContext, sessionId: number): Promise<void> {
    const data = this.beginCall(context);
    try {
      const session = this.findSession(data, sessionId, 'closing a session');
      await this.closeFoundSession(context, data, session);
    } finally {
      this.endCall(data);
    }
  }

  systemSession(context: TeeContext, sessionId: number): boolean {
    const data = this.dataOf(context);
    const session = this.findSession(data, sessionId, 'requesting a system session');
    // A session has one reservation, however often it asks (as in Linux since 6.8).
    if (!session.system && this.optee.callQueue.reserve()) {
      session.system = true;
      data.systemSessions++;
    }
    const { trace } = this.optee;
    if (trace.on) trace.emit({ type: 'system-session', session: sessionId, granted: session.system });
    return session.system;
  }

  async allocateShm(context: TeeContext, size: number): Promise<TeeShm> {
    const data = this.beginCall(context);
    try {
      return await ownedBy(data, context, await this.abi.allocateShm(context, size, this.isForSystemSession(data)));
    } finally {
      this.endCall(data);
    }
  }

  async registerShm(context: TeeContext, size: number): Promise<TeeShm> {
    const data = this.beginCall(context);
    try {
      return await ownedBy(data, context, await this.abi.registerShm(context, size, this.isForSystemSession(data)));
    } finally {
      this.endCall(data);
    }
  }

  /** Handle secure world's notifications from now on. */
  async takeNotifications(interrupt: InterruptSource, source: NotificationSource): Promise<void> {
    const { kernelContext } = this.optee;
    this.notifications = new AsyncNotifications(this.optee, source, (purpose, command) =>
      this.shortCall(kernelContext, purpose, noSession, purpose === 'bottom-half', (msg) => {
        msg.cmd = command;
      }),
    );
    await this.notifications.start(interrupt);
  }

  /** Memory that the supplicant gives to secure world. @throws TeecError OUT_OF_MEMORY */
  async allocateForRpc(size: number): Promise<TeeShm> {
    const shm = await this.abi.rpcMemory.allocate(size);
    this.optee.supplicantMemory.add(shm);
    return shm;
  }

  /** Release all that the driver holds, even if secure world is dead. @throws the first error, after trying all. */
  remove(): Promise<void> {
    return eachStep([
      () => this.notifications?.stop(),
      () => this.optee.supplicant.close('the driver closes'),
      () => this.abi.remove(),
    ]);
  }

  private addSession(context: TeeContext, data: ContextData, id: number, uuid: string): void {
    for (const other of this.contexts.values())
      if (other.sessions.has(id)) {
        this.optee.violation(0, `secure world opened session ${id}, which is already open`);
        throw commsError(TeeResult.ERROR_COMMUNICATION, `opening a session: secure world gave session ${id} twice`);
      }
    data.sessions.set(id, { id, uuid, system: false, calls: 0, uncancelled: 0, idle: undefined });
    const { trace } = this.optee;
    if (trace.on) trace.emit({ type: 'session-open', session: id, context: context.label, uuid });
  }

  /** Close one session after another. @throws the first error, after all were tried. */
  private async closeAll(
    context: TeeContext,
    data: ContextData,
    which: (session: OpteeSession) => boolean,
  ): Promise<void> {
    const failures: unknown[] = [];
    for (const session of [...data.sessions.values()].filter(which))
      await this.closeFoundSession(context, data, session).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  /** Remove the session from the list before the call, so that it is not used any more: `optee_close_session()`. */
  private async closeFoundSession(context: TeeContext, data: ContextData, session: OpteeSession): Promise<void> {
    data.sessions.delete(session.id);
    try {
      // The application may have to end another call first, which perhaps only a cancellation or a bottom half ends.
      // The close must not occupy the thread that these need while it waits for that call.
      await this.shortCall(context, 'close-session', session, 'if-idle', (msg) => {
        msg.cmd = OpteeMsgCmd.closeSession;
        msg.session = session.id;
      });
    } finally {
      // The reservation ends even if the message failed. (Linux up to at least 7.2 skips this if the message cannot be
      // allocated, and the reservation leaks.)
      const { callQueue, schedule, trace } = this.optee;
      if (session.system) {
        data.systemSessions--;
        if (schedule.decides) await schedule.point(`session ${session.id}`, 'end the reservation');
        callQueue.release();
      }
      if (trace.on) trace.emit({ type: 'session-close', session: session.id, context: context.label });
    }
  }

  /** A call without parameters, whose result is ignored. */
  private async shortCall(
    context: TeeContext,
    purpose: CallPurpose,
    session: Pick<OpteeSession, 'id' | 'system'> & { readonly uuid: Uuid | undefined },
    relief: Call['relief'],
    write: (msg: MsgArg) => void,
  ): Promise<void> {
    if (this.optee.schedule.fine) await this.comesToSlot(session.id);
    const entry: Entry = { system: session.system, relief: relief !== false };
    const slot: MessageSlot = await this.argCache.acquire(entry);
    try {
      write(this.begin(slot, 0));
      await this.abi.call(this.newCall(context, purpose, session.id, { ...entry, relief }, session.uuid), slot);
    } finally {
      this.argCache.release(slot);
    }
  }

  /** Other calls may run between the look-up of a session and the allocation of its message. */
  private comesToSlot(session: number): Promise<void> {
    return this.optee.schedule.point(`session ${session}`, 'take a message slot');
  }

  private begin(slot: MessageSlot, paramCount: number): MsgArg {
    const msg = slot.begin(paramCount);
    // The result if secure world writes none.
    msg.ret = TeeResult.ERROR_COMMUNICATION;
    msg.retOrigin = TeeOrigin.COMMS;
    return msg;
  }

  private newCall(
    context: TeeContext,
    purpose: CallPurpose,
    session: number,
    { system, relief }: Pick<Call, 'system' | 'relief'>,
    application: Uuid | undefined,
  ): Call {
    return this.optee.newCall(context, purpose, session, system, relief, application);
  }

  /** Register a client's memory by a system call if it has a system session. Linux always uses normal calls. */
  private isForSystemSession({ systemSessions }: ContextData): boolean {
    return systemSessions > 0 && this.optee.callQueue.sortsOwnCalls;
  }

  private dataOf(context: TeeContext): ContextData {
    const data = this.contexts.get(context);
    if (data === undefined) throw commsError(TeeResult.ERROR_BAD_STATE, `context ${context.label} is closed`);
    return data;
  }

  private beginCall(context: TeeContext): ContextData {
    const data = this.dataOf(context);
    if (data.closing) throw commsError(TeeResult.ERROR_BAD_STATE, `context ${context.label} is being closed`);
    data.callsInFlight++;
    return data;
  }

  private endCall(data: ContextData): void {
    data.callsInFlight--;
    if (data.callsInFlight === 0) data.idle?.();
  }

  private replyOf(msg: MsgArg, call: Call, uuid: Uuid): TeeReply {
    const result = msg.ret;
    const origin = msg.retOrigin;
    const panic = result === TeeResult.ERROR_TARGET_DEAD ? this.optee.panics.get(uuid) : undefined;
    // A service of the call may have failed before: often that is why.
    if (panic !== undefined)
      call.trouble = [call.trouble, panicText(panic)].filter((each) => each !== undefined).join('; ');
    const { trouble } = call;
    if (
      origin === TeeOrigin.TRUSTED_APP ||
      origin === TeeOrigin.TEE ||
      origin === TeeOrigin.COMMS ||
      origin === TeeOrigin.API
    )
      return trouble === undefined
        ? { result, origin }
        : { result, origin, trouble, ...(panic === undefined ? {} : { panic }) };
    // The origin is only meaningful for errors.
    if (result === TeeResult.SUCCESS) return { result, origin: TeeOrigin.TRUSTED_APP };
    throw commsError(
      TeeResult.ERROR_COMMUNICATION,
      `${call.purpose}: secure world answered 0x${result.toString(16)} with ${teeOriginName(origin)}`,
    );
  }

  private findSession(data: ContextData, id: number, doing: string): OpteeSession {
    const session = data.sessions.get(id);
    if (session === undefined)
      throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `${doing}: session ${id} is not open in this context`);
    return session;
  }
}

/** Memory of a client. If the context closed meanwhile, free it before the close completes. */
async function ownedBy(data: ContextData, context: TeeContext, shm: TeeShm): Promise<TeeShm> {
  if (!data.closing) return shm;
  await shm.put();
  throw commsError(TeeResult.ERROR_BAD_STATE, `allocating shared memory: context ${context.label} is being closed`);
}

function paramAt(params: readonly TeeParam[], index: number): TeeParam {
  const param = params[index];
  if (param === undefined) throw new Error(`parameter ${index} is missing`);
  return param;
}
