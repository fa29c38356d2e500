import { TeeOrigin, TeeResult } from '../../../protocol/tee-result.js';
import { isUint32 } from '../../../protocol/uint32.js';
import { show } from '../../../show.js';
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
        const returned: unknown = callEntryPoint(instance, entry, call);
        // Promise.resolve() takes any thenable, also one whose `then` throws.
        result = resultOf(isObject(returned) ? yield* until(Promise.resolve(returned)) : returned);
      } finally {
        // The operation must end before the thread context can be given to another call.
        unfinished = call.end();
        if (unfinished !== undefined) yield* until(unfinished);
      }
      if (unfinished !== undefined) throw new Error('an application returned before it was done');
    }
  } catch (error) {
    if (isA(CorePanic, error)) throw error;
    if (isA(TeeError, error) && isUint32(error.code)) result = error.code;
    else {
      panic(core, instance, error);
      result = TeeResult.ERROR_TARGET_DEAD;
    }
  }
  const wrong = clearWrongOutputs(parameters);
  if (wrong !== undefined && !instance.panicked) {
    panic(core, instance, wrong);
    result = TeeResult.ERROR_TARGET_DEAD;
  }
  if (application.kind === 'user') {
    // The next operation of the session must not inherit a cancellation.
    session.cancelled = false;
    session.cancellationMasked = true;
  }
  return result;
}

/** An application in JavaScript can return anything. */
function resultOf(returned: unknown): number {
  if (returned === undefined) return TeeResult.SUCCESS;
  if (isUint32(returned)) return returned;
  throw new TypeError(
    `the application returned ${show(returned)}; allowed: nothing, and a TEE_Result, an integer from 0 to 4294967295`,
  );
}

/**
 * An application in JavaScript can also set anything in its parameters. What cannot go into the message becomes 0.
 * @returns the first such value, as an error.
 */
function clearWrongOutputs(parameters: readonly TaParameter[]): RangeError | undefined {
  let wrong: RangeError | undefined;
  const clear = (index: number, what: string, value: unknown, allowed: string) => {
    wrong ??= new RangeError(`parameter ${index}: ${what} is ${show(value)}; allowed: ${allowed}`);
    return 0;
  };
  for (let index = 0; index < parameters.length; index++) {
    const parameter = parameters[index];
    if (parameter === undefined || parameter.direction === 'input') continue;
    if (parameter.type === 'memref') {
      const { size } = parameter;
      if (!(Number.isSafeInteger(size) && size >= 0))
        parameter.size = clear(index, 'its size', size, 'integers from 0');
      continue;
    }
    const { a, b } = parameter;
    // Arithmetic goes round at 2^32, as in C.
    if (!Number.isSafeInteger(a)) parameter.a = clear(index, 'a', a, 'integers, of which 32 bits are returned');
    if (!Number.isSafeInteger(b)) parameter.b = clear(index, 'b', b, 'integers, of which 32 bits are returned');
  }
  return wrong;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** `instanceof` of a value from an application: a Proxy can throw at it. */
function isA<Kind>(kind: abstract new (...given: never[]) => Kind, value: unknown): value is Kind {
  try {
    return value instanceof kind;
  } catch {
    return false;
  }
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

/** `TypeError: its message`; its properties may be getters that throw. */
function textOf(error: Error): string {
  try {
    return `${error.name}: ${error.message}`;
  } catch {
    return show(error);
  }
}

/** Panic the instance: the application threw something that is not a result. */
function panic(core: Core, instance: TaInstance, cause: unknown): void {
  const { uuid, kind } = instance.application;
  const isPanic = isA(TaPanic, cause);
  const error = isA(Error, cause) ? cause : undefined;
  const text = error === undefined ? undefined : textOf(error);
  if (kind === 'pseudo')
    throw new CorePanic(`${instance.name} panicked, and with it OP-TEE${text === undefined ? '' : `: ${text}`}`, {
      cause: error,
    });
  instance.panicked = true;
  const code = isPanic && isUint32(cause.code) ? cause.code : TeeResult.ERROR_GENERIC;
  core.trace?.({ type: 'panic', uuid, code, text, isException: text !== undefined && !isPanic });
}
