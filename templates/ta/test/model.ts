import { TeeError, TeeResult, trustedApplication } from 'normalworld';
import { taHeader } from 'normalworld/ta';

/** What the C code and the tests share. */
export const { uuid, numbers } = taHeader('ta/include/__FILE___ta.h');
export const add = numbers.TA___SYMBOL___CMD_ADD;
export const reverse = numbers.TA___SYMBOL___CMD_REVERSE;

/** What the application is expected to do, for the simulated world. */
export const model = trustedApplication({
  uuid,
  kind: 'user',
  create: () => ({
    invokeCommand(call) {
      switch (call.command) {
        case add: {
          const value = call.value(0);
          const sum = value.a + value.b;
          if (sum > 0xffff_ffff) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
          value.a = sum;
          return;
        }
        case reverse: {
          const buffer = call.memref(0);
          buffer.write(buffer.read().reverse());
          return;
        }
        default:
          throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED);
      }
    },
  }),
});
