import { RpcNotification } from '../../../protocol/optee-rpc-command.js';
import type { Core } from '../core/core.js';
import type { BottomHalf } from '../core/notif.js';
import { notificationRpc } from '../rpc/thread-rpc.js';
import { start } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';

/** The operations of a bottom half, on the thread of the call that the normal world made for it. */
export function bottomHalfOf(core: Core, thread: Thread): BottomHalf {
  return {
    compute: async (ms) => start(core.compute(thread, ms)),
    notify: async (value) => {
      await start(notificationRpc(core, thread, RpcNotification.send, value));
    },
  };
}
