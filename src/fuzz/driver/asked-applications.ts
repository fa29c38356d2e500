import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { rpcValue, TeeError, type TrustedApplication, trustedApplication } from '../../worlds/simulated/index.js';

/** Applications whose commands exercise the driver. */
const applicationOf = (uuid: string, kind: 'user' | 'pseudo'): TrustedApplication =>
  trustedApplication({
    uuid,
    kind,
    ...(kind === 'pseudo' ? { concurrent: true } : {}),
    create: () => ({
      async invokeCommand(call) {
        switch (call.command) {
          case 1: {
            const sum = call.value(0);
            sum.a += sum.b;
            return;
          }
          case 2: {
            const memory = call.memref(0);
            memory.write(memory.read().reverse());
            return;
          }
          case 3: {
            const memory = call.memref(0);
            memory.size = 0xffff;
            return TeeResult.ERROR_SHORT_BUFFER;
          }
          case 4:
            call.unmaskCancellation();
            return call.wait(1000);
          // The input replaces this request by the one to be tried.
          case 5:
            return call.rpc(RpcCommand.getTime, [
              rpcValue('output'),
              rpcValue('inout'),
              rpcValue('inout'),
              rpcValue('inout'),
            ]);
          case 6:
            return call.panic(1);
          default:
            throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED);
        }
      },
    }),
  });

/** A pseudo-TA whose sessions run concurrently, and a user TA that is loaded from an image. */
export const askedApplications: readonly [TrustedApplication, TrustedApplication] = [
  applicationOf('3f1c0d2e-5b7a-4c61-8f0d-6d1f1e0a5b01', 'pseudo'),
  applicationOf('3f1c0d2e-5b7a-4c61-8f0d-6d1f1e0a5b02', 'user'),
];
