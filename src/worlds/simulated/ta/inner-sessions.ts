import { TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
import type { Core } from '../core/core.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import type { ClientIdentity } from './client-identity.js';
import type { TaParameter } from './ta-parameters.js';
import { TeeError } from './tee-error.js';

/** TEE_LOGIN_TRUSTED_APP, of the GlobalPlatform TEE Internal Core API. */
const trustedAppLogin = 0xf000_0000;

/** Calls from an application to another: TEE_OpenTASession(), TEE_InvokeTACommand(), TEE_CloseTASession(). */
interface InnerSessions {
  /** @throws TeeError with the result of the other application or of OP-TEE. */
  open(thread: Thread, from: Uuid, uuid: Uuid): Routine<number>;
  /** @throws TeeError likewise. */
  invoke(thread: Thread, session: number, command: number, parameters: readonly TaParameter[]): Routine<void>;
  close(thread: Thread, session: number): Routine<void>;
}

/** The part of the session manager that is used here. */
interface SessionManager<Session> {
  openSession(
    thread: Thread,
    uuid: Uuid,
    client: ClientIdentity,
    parameters: readonly TaParameter[],
  ): Routine<{ readonly session: Session | undefined; readonly result: number }>;
  getSessionNow(id: number, thread: Thread): Session | undefined;
  getSession(id: number, thread: Thread, exclusive: boolean): Routine<Session | undefined>;
  putSession(session: Session, thread: Thread): Routine<void>;
  invokeCommand(thread: Thread, session: Session, command: number, parameters: readonly TaParameter[]): Routine<number>;
  closeSession(thread: Thread, id: number): Routine<number>;
}

const provided = new WeakMap<Core, InnerSessions>();

/**
 * Let applications open sessions with each other, on the thread of the call that they execute:
 * syscall_open_ta_session() and similar functions in core/tee/tee_svc.c. A thread that waits for the other application
 * sleeps in the normal world.
 */
export function provideInnerSessions<Session extends { readonly id: number }>(
  core: Core,
  manager: SessionManager<Session>,
): void {
  provided.set(core, {
    *open(thread, from, uuid) {
      const { application } = thread;
      const client = { login: trustedAppLogin, uuid: from };
      const { session, result } = yield* manager.openSession(thread, uuid, client, []);
      thread.application = application;
      if (session === undefined) throw new TeeError(result);
      return session.id;
    },
    *invoke(thread, id, command, parameters) {
      const { application } = thread;
      const session = manager.getSessionNow(id, thread) ?? (yield* manager.getSession(id, thread, true));
      if (session === undefined) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `there is no session ${id}`);
      const result = yield* manager.invokeCommand(thread, session, command, parameters);
      yield* manager.putSession(session, thread);
      thread.application = application;
      if (result !== TeeResult.SUCCESS) throw new TeeError(result);
    },
    *close(thread, id) {
      const { application } = thread;
      yield* manager.closeSession(thread, id);
      thread.application = application;
    },
  });
}

export function innerSessionsOf(core: Core): InnerSessions {
  const sessions = provided.get(core);
  if (sessions === undefined) throw new Error('there is no manager of applications');
  return sessions;
}
