import { Context } from '../../dist/client/context.js';
import { RegisteredBuffer } from '../../dist/client/registered-buffer.js';
import { ArgCache } from '../../dist/optee/arg-cache.js';
import { HandOffCallQueue } from '../../dist/optee/call-queue/hand-off.js';
import { OpteeDriver } from '../../dist/optee/optee-driver.js';
import { RpcServer } from '../../dist/optee/rpc/rpc.js';
import { SupplicantQueue } from '../../dist/optee/rpc/supplicant-queue.js';
import { RpcCommand, RpcFs } from '../../dist/protocol/optee-rpc-command.js';
import { TeeResult } from '../../dist/protocol/tee-result.js';
import { DeviceFile } from '../../dist/serve/device-file.js';
import { FolderFileSystem } from '../../dist/supplicant/node/folder-file-system.js';
import { Supplicant } from '../../dist/supplicant/supplicant.js';

/** A function that returns true once in this many calls. */
function onceIn(times) {
  let asked = 0;
  return () => ++asked % times === 0;
}

const never = [];
const isFile = ({ command, params: [first] }, operation) => command === RpcCommand.fs && first?.a === operation;

/**
 * Defects that the chaos tests must catch. Each replaces a method of the built product: `method(original)` returns the
 * defective method, which is called with its `this`. A method that no longer exists is an error, so that no defect
 * becomes obsolete unnoticed.
 */
export const defects = [
  {
    name: 'files-of-a-supplicant-stay-open',
    what: 'a supplicant that leaves does not close its files',
    of: Supplicant,
    method: 'leaveServices',
    by: () => async () => {},
  },
  {
    name: 'no-close-for-the-dead',
    what: 'closing a file for a dead client is refused',
    of: SupplicantQueue,
    method: 'request',
    by: (original) =>
      function (call, command, params) {
        if (call.context.killed && isFile({ command, params }, RpcFs.close))
          return Promise.resolve(TeeResult.ERROR_COMMUNICATION);
        return original.call(this, call, command, params);
      },
  },
  {
    name: 'failed-write-succeeds',
    what: 'a failed write is answered with success',
    of: Supplicant,
    method: 'result',
    by: (original) =>
      async function (request, serving) {
        try {
          return await original.call(this, request, serving);
        } catch (error) {
          if (isFile(request, RpcFs.write)) return TeeResult.SUCCESS;
          throw error;
        }
      },
  },
  {
    name: 'other-session',
    what: 'one call of a hundred goes to another session of its client',
    of: OpteeDriver,
    method: 'invoke',
    by: (original) => {
      const now = onceIn(100);
      return function (context, request, params) {
        const { sessions } = this.contexts.get(context) ?? { sessions: new Map() };
        const other = now() ? [...sessions.keys()].find((id) => id !== request.session) : undefined;
        return original.call(this, context, { ...request, session: other ?? request.session }, params);
      };
    },
  },
  {
    name: 'message-given-twice',
    what: 'a message slot is given out twice, once in a hundred calls',
    of: ArgCache,
    method: 'acquire',
    by: (original) => {
      const now = onceIn(100);
      return function (system) {
        const slot = original.call(this, system);
        if (now() && !(slot instanceof Promise)) this.release(slot);
        return slot;
      };
    },
  },
  {
    name: 'device-files-stay',
    what: 'the server keeps device files of dead clients',
    of: DeviceFile,
    method: 'close',
    by: () => () => {},
  },
  {
    name: 'freed-memory-stays',
    what: 'memory that secure world frees is kept',
    of: RpcServer,
    method: 'shmFree',
    by: () => async () => TeeResult.SUCCESS,
  },
  {
    name: 'failure-unanswered',
    what: "a service's failure is not answered",
    of: Supplicant,
    method: 'serve',
    by: () =>
      async function (request) {
        const result = await this.result(request, { ifUnwanted() {}, report() {} });
        this.device.send(request.id, result);
      },
  },
  {
    name: 'lock-stays',
    what: 'the lock of a storage folder is kept',
    of: FolderFileSystem,
    method: 'claim',
    by: (original) =>
      function (tee) {
        original.call(this, tee);
        return () => {};
      },
  },
  {
    name: 'thread-lost',
    what: 'the queue loses a thread once in 300 calls',
    of: HandOffCallQueue,
    method: 'leave',
    by: (original) => {
      const now = onceIn(300);
      return function (waiter) {
        if (now()) waiter.phase = 'outside';
        else original.call(this, waiter);
      };
    },
  },
  {
    name: 'mebibyte-a-session',
    what: '1 MiB is kept for each session that opens',
    of: OpteeDriver,
    method: 'addSession',
    by: (original) =>
      function (...args) {
        never.push(Buffer.alloc(2 ** 20, 1));
        return original.apply(this, args);
      },
  },
  {
    name: 'unchecked-size',
    what: 'memory as large as a size that a client named is taken, before it is looked at',
    of: Context,
    method: 'allocateSharedMemory',
    by: (original) =>
      function (size) {
        // Sizes that no array can have are refused as they should be.
        if (size <= 2 ** 31) Buffer.alloc(size);
        return original.call(this, size);
      },
  },
  {
    name: 'registered-write-lost',
    what: 'what a TA wrote into registered memory is not carried back, once in 20 calls',
    of: RegisteredBuffer,
    method: 'carryOut',
    by: (original) => {
      const now = onceIn(20);
      return function (offset, size) {
        if (!now()) original.call(this, offset, size);
      };
    },
  },
];
