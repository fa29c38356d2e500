import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import type { Uuid } from '../../protocol/uuid.js';
import type { Core } from './core.js';
import { loadUserTa } from './ree-fs-ta.js';
import type { Routine } from './routine.js';
import { until } from './routine.js';
import { TaCall } from './ta-call.js';
import type { TaParameter } from './ta-parameters.js';
import type { ClientIdentity } from './ta-session.js';
import { noThread, TaInstance, TaSession } from './ta-session.js';
import type { Thread } from './thread.js';
import type { TaResult, TrustedApplication } from './trusted-application.js';
import { TaPanic, TeeError } from './trusted-application.js';
import type { WaitQueue } from './wait-queue.js';
import { Condition } from './wait-queue.js';

/** OP-TEE's core panicked: secure world is dead. */
export class CorePanic extends Error {
  override readonly name = 'CorePanic';
}

/**
 * Sessions and instances of trusted applications: core/kernel/tee_ta_manager.c.
 *
 * There all of it is guarded by `tee_ta_mutex`. Its critical sections never suspend, so here, where nothing runs beside
 * them, the mutex itself is not needed: what remains of it is the queue in which threads wait for its conditions.
 */
export class TaManager {
  private readonly sessions = new Map<number, TaSession>();
  /** Instances that can be found by their UUID, oldest first. */
  private readonly instances = new Map<Uuid, Set<TaInstance>>();
  private readonly waiters: WaitQueue;
  private readonly initialized = new Condition();
  /** The one thread that executes in single-instance applications, and how deep. */
  private singleInstanceThread = noThread;
  private singleInstanceDepth = 0;
  private readonly singleInstanceFree = new Condition();
  private lastSessionId = 0;

  constructor(
    private readonly core: Core,
    private readonly applications: ReadonlyMap<Uuid, TrustedApplication>,
  ) {
    this.waiters = core.createWaitQueue();
  }

  /** Sessions that are open. */
  get sessionCount(): number {
    return this.sessions.size;
  }

  /**
   * tee_ta_open_session().
   * @returns the session, or a result code; `origin` is where that comes from.
   */
  *openSession(
    thread: Thread,
    uuid: Uuid,
    client: ClientIdentity,
    parameters: readonly TaParameter[],
  ): Routine<{ readonly session: TaSession | undefined; readonly result: number; readonly origin: TeeOrigin }> {
    const session = new TaSession(this.newSessionId(), client, thread.id);
    this.sessions.set(session.id, session);
    const initialized = yield* this.initSession(thread, session, uuid);
    const instance = session.instance;
    thread.application = instance?.name ?? uuid;
    if (initialized !== TeeResult.SUCCESS || instance === undefined) {
      this.sessions.delete(session.id);
      return { session: undefined, result: initialized, origin: TeeOrigin.TEE };
    }

    let result: number = TeeResult.ERROR_BUSY;
    let origin: TeeOrigin = TeeOrigin.TEE;
    if (this.trySetBusyNow(instance, thread) || (yield* this.trySetBusy(instance, thread))) {
      if (!instance.panicked) {
        result = yield* this.enter(thread, session, instance, 'open', 0, parameters);
        origin = session.errorOrigin;
      }
      if (instance.panicked) {
        this.release(instance);
        result = TeeResult.ERROR_TARGET_DEAD;
        origin = TeeOrigin.TEE;
      }
      yield* this.clearBusy(instance, thread);
    }
    if (result !== TeeResult.SUCCESS) {
      yield* this.close(thread, session);
      return { session: undefined, result, origin };
    }
    yield* this.putSession(session, thread);
    return { session, result, origin };
  }

  /** A session by its id, if it can be entered now without waiting: the short way of `getSession`. */
  getSessionNow(id: number, thread: Thread): TaSession | undefined {
    const session = this.sessions.get(id);
    if (session === undefined || session.unlinked || session.lockedBy !== noThread) return undefined;
    session.references++;
    session.lockedBy = thread.id;
    return session;
  }

  /** A session by its id, held until `putSession`; exclusive ones wait for whoever executes in it: tee_ta_get_session(). */
  *getSession(id: number, thread: Thread, exclusive: boolean): Routine<TaSession | undefined> {
    const session = this.sessions.get(id);
    if (session === undefined || session.unlinked) return undefined;
    session.references++;
    if (!exclusive) return session;
    while (session.lockedBy !== noThread && !session.unlinked) yield* this.waiters.wait(thread, session.lockCondition);
    if (session.unlinked) {
      this.dropReference(session);
      yield* this.waiters.wakeNext(thread);
      return undefined;
    }
    session.lockedBy = thread.id;
    return session;
  }

  /** tee_ta_put_session(). */
  *putSession(session: TaSession, thread: Thread): Routine<void> {
    if (session.lockedBy === thread.id) {
      session.lockedBy = noThread;
      this.waiters.signal(session.lockCondition);
    }
    this.dropReference(session);
    if (!this.waiters.empty) yield* this.waiters.wakeNext(thread);
  }

  /** tee_ta_invoke_command(): a result code; its origin is in the session. */
  *invokeCommand(
    thread: Thread,
    session: TaSession,
    command: number,
    parameters: readonly TaParameter[],
  ): Routine<number> {
    const instance = session.instance;
    if (instance === undefined) throw new CorePanic('a session without an instance was invoked');
    thread.application = instance.name;
    if (!this.trySetBusyNow(instance, thread) && !(yield* this.trySetBusy(instance, thread)))
      throw new CorePanic('a session was invoked from inside its own application');
    let result: number = TeeResult.ERROR_TARGET_DEAD;
    if (!instance.panicked) result = yield* this.enter(thread, session, instance, 'invoke', command, parameters);
    if (instance.panicked) {
      this.release(instance);
      result = TeeResult.ERROR_TARGET_DEAD;
      session.errorOrigin = TeeOrigin.TEE;
    }
    yield* this.clearBusy(instance, thread);
    return result;
  }

  /** tee_ta_close_session(). */
  *closeSession(thread: Thread, id: number): Routine<number> {
    const session = this.getSessionNow(id, thread) ?? (yield* this.getSession(id, thread, true));
    if (session === undefined) {
      this.core.log(`session ${id} to be closed is not found`);
      return TeeResult.ERROR_ITEM_NOT_FOUND;
    }
    yield* this.close(thread, session);
    return TeeResult.SUCCESS;
  }

  private newSessionId(): number {
    do this.lastSessionId = (this.lastSessionId + 1) >>> 0;
    while (this.lastSessionId === 0 || this.sessions.has(this.lastSessionId));
    return this.lastSessionId;
  }

  private dropReference(session: TaSession): void {
    session.references--;
    if (session.references === 1) this.waiters.signal(session.referencesCondition);
  }

  /** Find the instance for a new session, or make one: tee_ta_init_session(). */
  private *initSession(thread: Thread, session: TaSession, uuid: Uuid): Routine<number> {
    let found = this.find(uuid);
    while (found?.initializing) {
      yield* this.waiters.wait(thread, this.initialized);
      // It may have been removed while we slept.
      found = this.find(uuid);
    }
    if (found?.flags.singleInstance) {
      if (!found.flags.multiSession && found.references > 0) return TeeResult.ERROR_BUSY;
      found.references++;
      session.instance = found;
      return TeeResult.SUCCESS;
    }
    const application = this.applications.get(uuid);
    if (application?.kind === 'pseudo') {
      session.instance = this.addInstance(application);
      return TeeResult.SUCCESS;
    }
    return yield* this.loadInstance(thread, session, uuid, application);
  }

  /** tee_ta_init_user_ta_session() and tee_ta_complete_user_ta_session(). */
  private *loadInstance(
    thread: Thread,
    session: TaSession,
    uuid: Uuid,
    application: TrustedApplication | undefined,
  ): Routine<number> {
    const instance = application === undefined ? undefined : this.addInstance(application);
    if (instance !== undefined) instance.initializing = true;
    let result = yield* loadUserTa(this.core, thread, uuid);
    if (result === TeeResult.SUCCESS && instance === undefined) {
      this.core.log(`the image of ${uuid} was loaded, but the simulation has no code for it`);
      result = TeeResult.ERROR_NOT_SUPPORTED;
    }
    if (instance !== undefined) {
      instance.initializing = false;
      if (result === TeeResult.SUCCESS) session.instance = instance;
      else this.release(instance);
    }
    this.waiters.signal(this.initialized, true);
    yield* this.waiters.wakeNext(thread);
    return result;
  }

  private addInstance(application: TrustedApplication): TaInstance {
    const instance = new TaInstance(application);
    const { uuid } = application;
    const others = this.instances.get(uuid);
    if (others === undefined) this.instances.set(uuid, new Set([instance]));
    else others.add(instance);
    return instance;
  }

  /** The oldest: tee_ta_context_find(). */
  private find(uuid: Uuid): TaInstance | undefined {
    return this.instances.get(uuid)?.values().next().value;
  }

  /** It is not found any more: the next session gets a new instance. Also maybe_release_ta_ctx(), after a panic. */
  private release(instance: TaInstance): void {
    const { uuid } = instance.application;
    const others = this.instances.get(uuid);
    others?.delete(instance);
    if (others?.size === 0) this.instances.delete(uuid);
  }

  /** tee_ta_try_set_busy() when nobody stands in the way. */
  private trySetBusyNow(instance: TaInstance, thread: Thread): boolean {
    if (instance.flags.concurrent) return true;
    if (instance.busy || (instance.flags.singleInstance && this.singleInstanceThread !== noThread)) return false;
    if (instance.flags.singleInstance) {
      this.singleInstanceThread = thread.id;
      this.singleInstanceDepth = 1;
    }
    instance.busy = true;
    return true;
  }

  /** tee_ta_try_set_busy(): false when waiting would be a deadlock with ourselves. */
  private *trySetBusy(instance: TaInstance, thread: Thread): Routine<boolean> {
    if (instance.flags.singleInstance) {
      if (this.singleInstanceThread !== thread.id) {
        while (this.singleInstanceThread !== noThread) yield* this.waiters.wait(thread, this.singleInstanceFree);
        this.singleInstanceThread = thread.id;
      }
      this.singleInstanceDepth++;
    }
    if (this.singleInstanceThread === thread.id) {
      if (instance.busy) {
        if (instance.flags.singleInstance) this.unlockSingleInstance();
        return false;
      }
    } else {
      while (instance.busy) yield* this.waiters.wait(thread, instance.busyCondition);
    }
    instance.busy = true;
    return true;
  }

  /** tee_ta_clear_busy(). */
  private *clearBusy(instance: TaInstance, thread: Thread): Routine<void> {
    if (instance.flags.concurrent) return;
    instance.busy = false;
    this.waiters.signal(instance.busyCondition);
    if (instance.flags.singleInstance) this.unlockSingleInstance();
    if (!this.waiters.empty) yield* this.waiters.wakeNext(thread);
  }

  private unlockSingleInstance(): void {
    this.singleInstanceDepth--;
    if (this.singleInstanceDepth > 0) return;
    this.singleInstanceThread = noThread;
    this.waiters.signal(this.singleInstanceFree);
  }

  /** close_session(): the caller executes in the session. */
  private *close(thread: Thread, session: TaSession): Routine<void> {
    const instance = session.instance;
    if (instance === undefined) throw new CorePanic('a session without an instance was closed');
    thread.application = instance.name;
    if (instance.panicked) yield* this.destroySession(thread, session);
    else {
      if (!this.trySetBusyNow(instance, thread) && !(yield* this.trySetBusy(instance, thread)))
        throw new CorePanic('a session was closed from inside its own application');
      if (!instance.panicked) yield* this.enter(thread, session, instance, 'close', 0, []);
      yield* this.destroySession(thread, session);
      yield* this.clearBusy(instance, thread);
    }
    instance.references--;
    const keepAlive = instance.flags.singleInstance && instance.flags.keepAlive;
    if (instance.references > 0 || (keepAlive && !instance.panicked)) return;
    this.release(instance);
    if (!instance.panicked) instance.entryPoints?.destroy?.();
  }

  /** destroy_session(): waits until nobody holds it. */
  private *destroySession(thread: Thread, session: TaSession): Routine<void> {
    session.unlinked = true;
    this.waiters.signal(session.lockCondition, true);
    while (session.references !== 1) yield* this.waiters.wait(thread, session.referencesCondition);
    this.sessions.delete(session.id);
  }

  /** Execute an entry point: user_ta_enter(), pseudo_ta_enter_*(). */
  private *enter(
    thread: Thread,
    session: TaSession,
    instance: TaInstance,
    entry: 'open' | 'invoke' | 'close',
    command: number,
    parameters: readonly TaParameter[],
  ): Routine<number> {
    const { core } = this;
    const { application } = instance;
    session.errorOrigin = TeeOrigin.TRUSTED_APP;
    let result: number = TeeResult.SUCCESS;
    if (application.kind === 'user')
      for (const parameter of parameters) if (parameter?.type === 'memref') parameter.mapForUser();
    try {
      const fault = core.faults.trustedApplication?.({ uuid: application.uuid, entry, command });
      if (fault !== undefined) {
        if ('panic' in fault) throw new TaPanic(fault.panic);
        result = fault.result;
      } else {
        const call = new TaCall(core, thread, session, command, parameters);
        let unfinished: Promise<void> | undefined;
        try {
          const returned = callEntryPoint(instance, entry, call);
          if (typeof returned === 'number') result = returned;
          else if (returned !== undefined) result = (yield* until(returned)) ?? TeeResult.SUCCESS;
        } finally {
          // The thread must be back before its context can be given to another call.
          unfinished = call.end();
          if (unfinished !== undefined) yield* until(unfinished);
        }
        if (unfinished !== undefined) throw new Error('an application returned before it was done');
      }
    } catch (error) {
      if (error instanceof CorePanic) throw error;
      if (error instanceof TeeError) result = error.code;
      else if (application.kind === 'pseudo')
        throw new CorePanic(`${instance.name} panicked, and with it OP-TEE`, { cause: error });
      else {
        instance.panicked = true;
        const code = error instanceof TaPanic ? error.code : TeeResult.ERROR_GENERIC;
        core.trace?.({ type: 'panic', uuid: application.uuid, code, cause: error });
        result = TeeResult.ERROR_TARGET_DEAD;
      }
    }
    if (application.kind === 'user') {
      // The next operation of the session does not inherit a cancellation.
      session.cancelled = false;
      session.cancellationMasked = true;
    }
    return result >>> 0;
  }
}

function callEntryPoint(instance: TaInstance, entry: 'open' | 'invoke' | 'close', call: TaCall): TaResult {
  instance.entryPoints ??= instance.application.create();
  switch (entry) {
    case 'open':
      return instance.entryPoints.openSession?.(call);
    case 'invoke':
      return instance.entryPoints.invokeCommand(call);
    case 'close':
      return instance.entryPoints.closeSession?.(call);
  }
}
