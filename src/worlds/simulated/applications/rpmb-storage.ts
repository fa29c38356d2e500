import { type OptionNames, requireKnownOptions } from '../../../known-options.js';
import { rpmbBlockSize } from '../../../protocol/rpmb.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import { type TrustedApplication, trustedApplication } from '../ta/trusted-application.js';
import { RpmbStore, type RpmbStoreOptions } from './rpmb-store.js';

/** Commands of the RPMB storage TA. A block has 256 bytes. */
export const RpmbStorageCommand = {
  /** value[0] in: first block; memref[1] in: whole blocks. */
  write: 0,
  /** value[0] in: first block; memref[1] out: whole blocks. */
  read: 1,
} as const;

const names: OptionNames<RpmbStoreOptions> = { hmac: true, secret: true, random: true, writeKey: true };

/** A user TA that stores blocks in the RPMB. All its instances share one store, as with OP-TEE's secure storage. */
export function rpmbStorageTa(options: RpmbStoreOptions): TrustedApplication {
  requireKnownOptions('rpmbStorageTa', options, names);
  const store = new RpmbStore(options);
  return trustedApplication({
    uuid: 'c0c0c0c0-0004-4000-8000-000000000004',
    name: 'rpmb storage',
    kind: 'user',
    create: () => ({
      async invokeCommand(call) {
        const block = call.value(0, 'input').a;
        switch (call.command) {
          case RpmbStorageCommand.write:
            await store.write(call, block, call.memref(1, 'input').read());
            return TeeResult.SUCCESS;
          case RpmbStorageCommand.read: {
            const out = call.memref(1, 'output');
            out.write(await store.read(call, block, out.capacity / rpmbBlockSize));
            return TeeResult.SUCCESS;
          }
          default:
            return TeeResult.ERROR_NOT_SUPPORTED;
        }
      },
    }),
  });
}
