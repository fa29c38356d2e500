import { TeeResult } from '../../../protocol/tee-result.js';
import type { TaCall } from '../ta/ta-call.js';
import { TeeError } from '../ta/tee-error.js';
import { trustedApplication } from '../ta/trusted-application.js';

/** Commands of the storage TA. */
export const StorageCommand = {
  /** memref[0] in: name; memref[1] in: data. Creates the object or replaces it. */
  write: 0,
  /** memref[0] in: name; memref[1] out: data. ITEM_NOT_FOUND; SHORT_BUFFER with the size needed. */
  read: 1,
  /** memref[0] in: name. */
  remove: 2,
} as const;

/** The maximum size of an object in bytes. */
const objectMax = 65536;

/**
 * A user TA that stores objects in files of the normal world, through the supplicant. Unlike OP-TEE's secure storage it
 * neither encrypts nor authenticates them. It exists to exercise the path through the supplicant.
 */
export const storageTa = trustedApplication({
  uuid: 'c0c0c0c0-0002-4000-8000-000000000002',
  name: 'storage',
  kind: 'user',
  create: () => ({
    async invokeCommand(call) {
      const name = objectName(call);
      switch (call.command) {
        case StorageCommand.write: {
          const file = await call.files.create(name);
          await call.files.write(file, 0, call.memref(1, 'input').read());
          await call.files.close(file);
          return TeeResult.SUCCESS;
        }
        case StorageCommand.read: {
          const file = await call.files.open(name);
          const data = await call.files.read(file, 0, objectMax);
          await call.files.close(file);
          const target = call.memref(1, 'output');
          target.size = data.length;
          if (data.length > target.capacity) return TeeResult.ERROR_SHORT_BUFFER;
          target.write(data);
          return TeeResult.SUCCESS;
        }
        case StorageCommand.remove:
          await call.files.remove(name);
          return TeeResult.SUCCESS;
        default:
          return TeeResult.ERROR_NOT_SUPPORTED;
      }
    },
  }),
});

/**
 * A name consists of letters, digits, dots and hyphens. The file has the TA's prefix, since all TAs share the folder.
 */
function objectName(call: TaCall): string {
  const name = new TextDecoder().decode(call.memref(0, 'input').read());
  if (!/^[\w.-]{1,64}$/.test(name)) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `object name "${name}"`);
  return `/storage-${name}`;
}
