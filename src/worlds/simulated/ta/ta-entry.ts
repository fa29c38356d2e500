import { TeeOrigin, TeeResult } from '../../../protocol/tee-result.js';
import type { Core } from '../core/core.js';
import type { TaEntry } from '../core/faults.js';
import type { Routine } from '../threads/routine.js';
import { until } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import { TaCall } from './ta-call.js';
import type { TaParameter } from './ta-parameters.js';
import type { TaInstance, TaSession } from './ta-session.js';
import { TaPanic, TeeError } from './tee-error.js';
import type { TaResult } from './trusted-application.js';

/** OP-TEE's core panicked: secure world is dead. */
export class CorePanic extends Error {
  override readonly name = 'CorePanic';
}

/**
 * Execute an entry point: user_ta_enter(), pseudo_ta_enter_*(). Returns a result code; its origin is in the session.
 */
export function* enterTa(
  core: Core,
  thread: Thread,
  session: TaSession,
  instance: TaInstance,
  entry: TaEntry['entry'],
  command: number,
  parameters: readonly TaParameter[],
): Routine<number> {
  const { application } = instance;
  session.errorOrigin = TeeOrigin.TRUSTED_APP;
  let result: number = TeeResult.SUCCESS;
  if (application.kind === 'user')
    for (const parameter of parameters) if (parameter?.type === 'memref') parameter.mapForUser();
  try {
    const fault = core.faults.trustedApplication?.({ uuid: application.uuid, thread: thread.id, entry, command });
    if (fault !== undefined) {
      if ('panic' in fault) throw new TaPanic(fault.panic);
      if ('hangs' in fault) return yield* until(new Promise<never>(() => {}));
      result = fault.result;
    } else {
      const call = new TaCall(core, thread, session, command, parameters, application.uuid);
      let unfinished: Promise<void> | undefined;
      try {
        const returned = callEntryPoint(instance, entry, call);
        if (typeof returned === 'number') result = returned;
        else if (returned !== undefined) result = (yield* until(returned)) ?? TeeResult.SUCCESS;
      } finally {
        // The operation must end before the thread context can be given to another call.
        unfinished = call.end();
        if (unfinished !== undefined) yield* until(unfinished);
      }
      if (unfinished !== undefined) throw new Error('an application returned before it was done');
    }
  } catch (error) {
    if (error instanceof CorePanic) throw error;
    if (error instanceof TeeError) result = error.code;
    else {
      panic(core, instance, error);
      result = TeeResult.ERROR_TARGET_DEAD;
    }
  }
  if (application.kind === 'user') {
    // The next operation of the session must not inherit a cancellation.
    session.cancelled = false;
    session.cancellationMasked = true;
  }
  return result >>> 0;
}

function callEntryPoint(instance: TaInstance, entry: TaEntry['entry'], call: TaCall): TaResult {
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

/** TA_DestroyEntryPoint of an instance that is not in the table any more. */
export function destroyInstance(core: Core, instance: TaInstance): void {
  try {
    instance.entryPoints?.destroy?.();
  } catch (error) {
    panic(core, instance, error);
  }
}

/** Panic the instance: the application threw something that is not a result. */
function panic(core: Core, instance: TaInstance, cause: unknown): void {
  const { uuid, kind } = instance.application;
  if (kind === 'pseudo') {
    const why = cause instanceof Error ? `: ${cause.name}: ${cause.message}` : '';
    throw new CorePanic(`${instance.name} panicked, and with it OP-TEE${why}`, { cause });
  }
  instance.panicked = true;
  core.trace?.({ type: 'panic', uuid, code: cause instanceof TaPanic ? cause.code : TeeResult.ERROR_GENERIC, cause });
}
