import { TeeResult } from '../../../protocol/tee-result.js';
import { trustedApplication } from '../ta/trusted-application.js';

/** Commands of the counter TA. */
export const CounterCommand = {
  /** value[0] inout: adds value a to the session's count; returns that count in a, and the count of the instance in b. */
  add: 0,
  /** memref[0] in, memref[1] out: copies the bytes. SHORT_BUFFER if they do not fit. */
  echo: 1,
  /** value[0].a in: milliseconds to wait (TEE_Wait), cancellable. */
  wait: 2,
  /** value[0].a in: the code with which it panics. */
  panic: 3,
} as const;

/** A user TA for experiments: it counts per session and over all sessions, echoes, waits and panics. */
export const counterTa = trustedApplication({
  uuid: 'c0c0c0c0-0001-4000-8000-000000000001',
  name: 'counter',
  kind: 'user',
  singleInstance: true,
  multiSession: true,
  create() {
    let total = 0;
    const counts = new WeakMap<object, number>();
    return {
      invokeCommand(call) {
        switch (call.command) {
          case CounterCommand.add: {
            const value = call.value(0, 'inout');
            const count = (counts.get(call.session) ?? 0) + value.a;
            counts.set(call.session, count);
            total += value.a;
            value.a = count;
            value.b = total;
            return TeeResult.SUCCESS;
          }
          case CounterCommand.echo: {
            const source = call.memref(0, 'input').read();
            const target = call.memref(1, 'output');
            target.size = source.length;
            if (source.length > target.capacity) return TeeResult.ERROR_SHORT_BUFFER;
            target.write(source);
            return TeeResult.SUCCESS;
          }
          case CounterCommand.wait:
            call.unmaskCancellation();
            return call.wait(call.value(0, 'input').a);
          case CounterCommand.panic:
            return call.panic(call.value(0, 'input').a);
          default:
            return TeeResult.ERROR_NOT_SUPPORTED;
        }
      },
    };
  },
});
