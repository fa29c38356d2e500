import type { Uuid } from '../../protocol/uuid.js';
import { warn } from '../../warn.js';
import type { FolderTaStore } from './folder-ta-store.js';

/**
 * Warns about a session with an instance of an older image: secure world loads an image only for a new instance, so a
 * rebuilt application is not taken while an instance of the old one stays.
 * @returns the function to call when a session has opened.
 */
export function warnOfOldInstances(stores: readonly FolderTaStore[]): (uuid: Uuid) => void {
  /** Each change once. */
  const told = new Set<string>();
  return (uuid) => {
    for (const store of stores)
      store
        .changeSinceLoad(uuid)
        .then((change) => {
          if (change === undefined || told.has(change.digest)) return;
          told.add(change.digest);
          warn(
            `${change.path} has changed, but a session was opened with an instance of the old image, which stays as long as it has ` +
              'sessions, and with INSTANCE_KEEP_ALIVE until OP-TEE ends: close its sessions, or open a new TEE',
          );
        })
        // A file that cannot be read now is reported when it is loaded.
        .catch(() => undefined);
  };
}
