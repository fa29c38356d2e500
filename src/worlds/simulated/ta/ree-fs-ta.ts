import { RpcCommand } from '../../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
import { uuidOctets } from '../../../protocol/uuid.js';
import type { Core } from '../core/core.js';
import type { RpcMemory, RpcParameter } from '../rpc/thread-rpc.js';
import { allocateRpcMemory, freeRpcMemory, rpcCommand, rpcMemref } from '../rpc/thread-rpc.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import { verifyTaImage } from './ta-image.js';

/**
 * Load the image of a user TA from the normal world and verify it: core/kernel/ree_fs_ta.c. Its size is requested
 * first, with a null buffer; then the image is copied out of shared memory before it is examined.
 *
 * Unlike OP-TEE, the simulation has no database of TA versions, so opening a TA needs no storage.
 */
export function* loadUserTa(core: Core, thread: Thread, uuid: Uuid): Routine<number> {
  const size = rpcMemref('output');
  const sizeResult = yield* rpcCommand(core, thread, RpcCommand.loadTa, [uuidParameter(uuid), size]);
  if (sizeResult !== TeeResult.SUCCESS) return sizeResult;
  // More than all of DRAM is impossible, and a memory object cannot have size 0.
  if (!(size.size > 0 && size.size <= core.memory.dram.size)) return TeeResult.ERROR_OUT_OF_MEMORY;
  const memory = yield* allocateRpcMemory(core, thread, size.size);
  if (memory === undefined) return TeeResult.ERROR_OUT_OF_MEMORY;
  const result = yield* readImage(core, thread, uuid, memory, size.size);
  yield* freeRpcMemory(core, thread, memory);
  if (result !== TeeResult.SUCCESS) core.log(`the image of ${uuid} was refused`);
  return result;
}

function* readImage(core: Core, thread: Thread, uuid: Uuid, memory: RpcMemory, size: number): Routine<number> {
  const image = rpcMemref('output', memory.mobj, size);
  const result = yield* rpcCommand(core, thread, RpcCommand.loadTa, [uuidParameter(uuid), image]);
  if (result !== TeeResult.SUCCESS) return result;
  return verifyTaImage(memory.mobj.read(0, size), uuid);
}

/** The 16 octets of the UUID, two little-endian 64-bit words. The words exceed 2^53, so they are passed as octets. */
function uuidParameter(uuid: Uuid): RpcParameter {
  return { type: 'octets', octets: uuidOctets(uuid) };
}
