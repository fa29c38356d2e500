import type { MsgArg } from '../../../protocol/optee-msg.js';
import { attrMeta, attrNoncontig, LoginClass, OpteeMsgAttr, OpteeMsgCmd } from '../../../protocol/optee-msg.js';
import { TeeOrigin, TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
import { nilUuid, uuidFromOctets } from '../../../protocol/uuid.js';
import type { Core } from '../core/core.js';
import { putMobj, unregister } from '../core/registered-shm.js';
import { mobjFromNoncontig } from '../memory/msg-param.js';
import type { ClientIdentity } from '../ta/client-identity.js';
import type { TaManager } from '../ta/ta-manager.js';
import type { TaParameter } from '../ta/ta-parameters.js';
import { copyInParameters, copyOutParameters } from '../ta/ta-parameters.js';
import type { Routine } from '../threads/routine.js';
import { until } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import { bottomHalfOf } from './bottom-half.js';

/** Meta parameters of OPEN_SESSION: the application's UUID, and the client's UUID with its login. */
const openSessionMetaCount = 2;

/**
 * The messages of yielding calls: core/tee/entry_std.c.
 * @param count the number of parameters, read once from the message and checked against its memory.
 * @returns false for a command that this OP-TEE does not know.
 */
export function* entryStd(
  core: Core,
  manager: TaManager,
  thread: Thread,
  message: MsgArg,
  count: number,
): Routine<boolean> {
  const command = message.cmd;
  switch (command) {
    case OpteeMsgCmd.invokeCommand:
      yield* invokeCommand(core, manager, thread, message, count);
      return true;
    case OpteeMsgCmd.openSession:
      yield* openSession(core, manager, thread, message, count);
      return true;
    case OpteeMsgCmd.closeSession:
      thread.activity = 'close session';
      answer(
        message,
        count > 0 ? TeeResult.ERROR_BAD_PARAMETERS : yield* manager.closeSession(thread, message.session),
        TeeOrigin.TEE,
      );
      return true;
    case OpteeMsgCmd.cancel:
      yield* cancel(manager, thread, message, count);
      return true;
    case OpteeMsgCmd.registerShm:
      if (core.configuration.dynamicShm && !core.configuration.ffa) return registerShm(core, message, count);
      break;
    case OpteeMsgCmd.unregisterShm:
      if (core.configuration.dynamicShm && !core.configuration.ffa) {
        thread.activity = 'unregister shared memory';
        if (count === 1) message.ret = yield* unregister(core, thread, message.c(0));
        else answer(message, TeeResult.ERROR_BAD_PARAMETERS, TeeOrigin.TEE);
        return true;
      }
      break;
    case OpteeMsgCmd.doBottomHalf:
      if (!core.configuration.asyncNotif) break;
      thread.activity = 'bottom half';
      yield* finish(core.notificationDriver.bottomHalf?.(bottomHalfOf(core, thread)));
      message.ret = TeeResult.SUCCESS;
      return true;
    case OpteeMsgCmd.stopAsyncNotif:
      if (!core.configuration.asyncNotif) break;
      thread.activity = 'stop notifications';
      core.asyncNotif.started = false;
      yield* finish(core.notificationDriver.stopped?.());
      message.ret = TeeResult.SUCCESS;
      return true;
    default:
      break;
  }
  core.log(`unknown message command ${command}`);
  return false;
}

function* finish(work: void | Promise<void>): Routine<void> {
  if (work !== undefined) yield* until(work);
}

function answer(message: MsgArg, result: number, origin: number): void {
  message.ret = result;
  message.retOrigin = origin;
}

function* invokeCommand(core: Core, manager: TaManager, thread: Thread, message: MsgArg, count: number): Routine<void> {
  thread.activity = 'invoke';
  const parameters: TaParameter[] = [];
  let result = copyInParameters(core, message, 0, count, parameters);
  let origin: number = TeeOrigin.TEE;
  if (result === TeeResult.SUCCESS) {
    const id = message.session;
    const session = manager.getSessionNow(id, thread) ?? (yield* manager.getSession(id, thread, true));
    if (session === undefined) result = TeeResult.ERROR_BAD_PARAMETERS;
    else {
      const command = message.func;
      thread.command = command;
      result = yield* manager.invokeCommand(thread, session, command, parameters);
      origin = session.errorOrigin;
      yield* manager.putSession(session, thread);
      copyOutParameters(message, 0, parameters);
    }
  }
  if (parameters.some(holdsMemory)) yield* putParameters(core, thread, parameters);
  answer(message, result, origin);
}

function* openSession(core: Core, manager: TaManager, thread: Thread, message: MsgArg, count: number): Routine<void> {
  const meta = openSessionMeta(message, count);
  if (meta === undefined) {
    message.session = 0;
    answer(message, TeeResult.ERROR_BAD_PARAMETERS, TeeOrigin.TEE);
    return;
  }
  thread.activity = 'open session';
  thread.application = meta.uuid;
  const parameters: TaParameter[] = [];
  const first = openSessionMetaCount;
  let result = copyInParameters(core, message, first, count - first, parameters);
  let origin: number = TeeOrigin.TEE;
  let id = 0;
  if (result === TeeResult.SUCCESS) {
    const opened = yield* manager.openSession(thread, meta.uuid, meta.client, parameters);
    ({ result, origin } = opened);
    id = opened.session?.id ?? 0;
    copyOutParameters(message, first, parameters);
  }
  if (parameters.some(holdsMemory)) yield* putParameters(core, thread, parameters);
  message.session = id;
  answer(message, result, origin);
}

/** get_open_session_meta(). */
function openSessionMeta(
  message: MsgArg,
  count: number,
): { readonly uuid: Uuid; readonly client: ClientIdentity } | undefined {
  const wanted = attrMeta | OpteeMsgAttr.valueInput;
  if (count < openSessionMetaCount || message.attr(0) !== wanted || message.attr(1) !== wanted) return undefined;
  const octets = message.octets(1).slice();
  const uuid = uuidFromOctets(message.octets(0));
  // The login of TEE_Identity has 32 bits.
  const login = new DataView(octets.buffer).getUint32(16, true);
  switch (login) {
    case LoginClass.public:
    case LoginClass.reeKernel:
      return { uuid, client: { login, uuid: nilUuid } };
    case LoginClass.user:
    case LoginClass.group:
    case LoginClass.application:
    case LoginClass.applicationUser:
    case LoginClass.applicationGroup:
      return { uuid, client: { login, uuid: uuidFromOctets(octets) } };
    default:
      return undefined;
  }
}

function* cancel(manager: TaManager, thread: Thread, message: MsgArg, count: number): Routine<void> {
  thread.activity = 'cancel';
  const session = count > 0 ? undefined : yield* manager.getSession(message.session, thread, false);
  if (session !== undefined) {
    session.cancelled = true;
    yield* manager.putSession(session, thread);
  }
  answer(message, session === undefined ? TeeResult.ERROR_BAD_PARAMETERS : TeeResult.SUCCESS, TeeOrigin.TEE);
}

/** register_shm(): accepts only an output parameter with a page list. */
function registerShm(core: Core, message: MsgArg, count: number): true {
  message.ret = TeeResult.ERROR_BAD_PARAMETERS;
  if (count !== 1 || message.attr(0) !== (OpteeMsgAttr.tmemOutput | attrNoncontig)) return true;
  const size = message.b(0);
  const cookie = message.c(0);
  if (core.faults.refuseMemory?.({ cookie, size })) return true;
  const mobj = mobjFromNoncontig(core.memory, message.a(0), size, cookie);
  if (mobj === undefined) return true;
  mobj.guarded = false;
  core.registeredShm.add(mobj);
  message.ret = TeeResult.SUCCESS;
  return true;
}

function holdsMemory(parameter: TaParameter): boolean {
  return parameter?.type === 'memref' && parameter.mobj !== undefined;
}

function* putParameters(core: Core, thread: Thread, parameters: readonly TaParameter[]): Routine<void> {
  for (const parameter of parameters)
    if (parameter?.type === 'memref' && parameter.mobj !== undefined) yield* putMobj(core, thread, parameter.mobj);
}
