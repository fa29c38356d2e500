import { TeeOrigin, TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
import type { Core } from '../core/core.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import type { WaitQueue } from '../threads/wait-queue.js';
import { Condition } from '../threads/wait-queue.js';
import type { ClientIdentity } from './client-identity.js';
import { provideInnerSessions } from './inner-sessions.js';
import { loadUserTa } from './ree-fs-ta.js';
import { BusyLocks } from './ta-busy.js';
import { CorePanic, destroyInstance, enterTa } from './ta-entry.js';
import type { TaParameter } from './ta-parameters.js';
import { noThread, TaInstance, TaSession } from './ta-session.js';
import type { TrustedApplication } from './trusted-application.js';

/**
 * Sessions and instances of trusted applications: core/kernel/tee_ta_manager.c.
 *
 * In OP-TEE, `tee_ta_mutex` protects them. Its critical sections never suspend, so in this single-threaded simulation
 * the mutex itself is not needed. What remains is its wait queue for condition variables.
 */
export class TaManager {
  private readonly sessions = new Map<number, TaSession>();
  /** Instances in the table by UUID, oldest first. */
  private readonly instances = new Map<Uuid, Set<TaInstance>>();
  private readonly waiters: WaitQueue;
  private readonly initialized = new Condition();
  private readonly busy: BusyLocks;
  private lastSessionId = 0;

  constructor(
    private readonly core: Core,
    private readonly applications: ReadonlyMap<Uuid, TrustedApplication>,
  ) {
    this.waiters = core.createWaitQueue();
    this.busy = new BusyLocks(this.waiters);
    provideInnerSessions(core, this);
  }

  /** The number of open sessions. */
  get sessionCount(): number {
    return this.sessions.size;
  }

  /** The numbers of the open sessions, in the order in which they were opened. */
  get sessionNumbers(): readonly number[] {
    return [...this.sessions.keys()];
  }

  /**
   * tee_ta_open_session().
   * @returns the session, or a result code with its `origin`.
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
    if (this.busy.tryTakeNow(instance, thread) || (yield* this.busy.tryTake(instance, thread))) {
      if (!instance.panicked) {
        result = yield* enterTa(this.core, thread, session, instance, 'open', 0, parameters);
        origin = session.errorOrigin;
      }
      if (instance.panicked) {
        this.release(instance);
        result = TeeResult.ERROR_TARGET_DEAD;
        origin = TeeOrigin.TEE;
      }
      yield* this.busy.clearBusy(instance, thread);
    }
    if (result !== TeeResult.SUCCESS) {
      yield* this.close(thread, session);
      return { session: undefined, result, origin };
    }
    yield* this.putSession(session, thread);
    return { session, result, origin };
  }

  /** The fast path of `getSession`: a session by its id, if it can be entered without waiting. */
  getSessionNow(id: number, thread: Thread): TaSession | undefined {
    const session = this.sessions.get(id);
    if (session === undefined || session.unlinked || session.lockedBy !== noThread) return undefined;
    session.references++;
    session.lockedBy = thread.id;
    return session;
  }

  /**
   * tee_ta_get_session(): a session by its id, referenced until `putSession`. With `exclusive` it waits until no thread
   * executes in the session.
   */
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

  /** tee_ta_invoke_command(): returns a result code; its origin is in the session. */
  *invokeCommand(
    thread: Thread,
    session: TaSession,
    command: number,
    parameters: readonly TaParameter[],
  ): Routine<number> {
    const instance = session.instance;
    if (instance === undefined) throw new CorePanic('a session without an instance was invoked');
    thread.application = instance.name;
    if (!this.busy.tryTakeNow(instance, thread) && !(yield* this.busy.tryTake(instance, thread)))
      throw new CorePanic('a session was invoked from inside its own application');
    let result: number = TeeResult.ERROR_TARGET_DEAD;
    if (!instance.panicked)
      result = yield* enterTa(this.core, thread, session, instance, 'invoke', command, parameters);
    if (instance.panicked) {
      this.release(instance);
      result = TeeResult.ERROR_TARGET_DEAD;
      session.errorOrigin = TeeOrigin.TEE;
    }
    yield* this.busy.clearBusy(instance, thread);
    return result;
  }

  /** tee_ta_close_session(). */
  *closeSession(thread: Thread, id: number): Routine<number> {
    const session = this.getSessionNow(id, thread) ?? (yield* this.getSession(id, thread, true));
    if (session === undefined) {
      this.core.log(`session ${id} to close was not found`);
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

  /** tee_ta_init_session(): find the instance for a new session, or create one. */
  private *initSession(thread: Thread, session: TaSession, uuid: Uuid): Routine<number> {
    let found = this.find(uuid);
    while (found?.initializing) {
      yield* this.waiters.wait(thread, this.initialized);
      // It may have been removed during the wait.
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

  /** tee_ta_context_find(): the oldest instance. */
  private find(uuid: Uuid): TaInstance | undefined {
    return this.instances.get(uuid)?.values().next().value;
  }

  /**
   * Remove the instance from the table, so that the next session gets a new one. Also maybe_release_ta_ctx(), after a
   * panic.
   */
  private release(instance: TaInstance): void {
    const { uuid } = instance.application;
    const others = this.instances.get(uuid);
    others?.delete(instance);
    if (others?.size === 0) this.instances.delete(uuid);
  }

  /** close_session(): the calling thread executes in the session. */
  private *close(thread: Thread, session: TaSession): Routine<void> {
    const instance = session.instance;
    if (instance === undefined) throw new CorePanic('a session without an instance was closed');
    thread.application = instance.name;
    if (instance.panicked) yield* this.destroySession(thread, session);
    else {
      if (!this.busy.tryTakeNow(instance, thread) && !(yield* this.busy.tryTake(instance, thread)))
        throw new CorePanic('a session was closed from inside its own application');
      if (!instance.panicked) yield* enterTa(this.core, thread, session, instance, 'close', 0, []);
      yield* this.destroySession(thread, session);
      yield* this.busy.clearBusy(instance, thread);
    }
    instance.references--;
    const keepAlive = instance.flags.singleInstance && instance.flags.keepAlive;
    if (instance.references > 0 || (keepAlive && !instance.panicked)) return;
    this.release(instance);
    if (!instance.panicked) destroyInstance(this.core, instance);
  }

  /** destroy_session(): waits until there are no other references. */
  private *destroySession(thread: Thread, session: TaSession): Routine<void> {
    session.unlinked = true;
    this.waiters.signal(session.lockCondition, true);
    while (session.references !== 1) yield* this.waiters.wait(thread, session.referencesCondition);
    this.sessions.delete(session.id);
  }
}
