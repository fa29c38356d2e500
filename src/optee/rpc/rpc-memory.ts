import { attrNoncontig, type MsgArg, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { fromMsgParam } from '../msg-param.js';
import { pageListSize, writePageList } from '../page-list.js';
import type { ShmPool } from '../shm-pool.js';
import type { RpcState } from './rpc-state.js';

/** How an ABI refers to memory in RPC messages. */
export interface RpcMemory {
  /** Allocate memory for secure world. @throws TeecError OUT_OF_MEMORY */
  allocate(size: number): TeeShm | Promise<TeeShm>;
  /**
   * Write the answer to SHM_ALLOC. @throws TeecError if it cannot be written; the caller then still owns the memory.
   */
  give(state: RpcState, answer: MsgArg, shm: TeeShm): void;
  /** Read and check a parameter of a request. @throws TeecError BAD_PARAMETERS */
  fromMsgParam(request: MsgArg, index: number): TeeParam;
}

/** Over raw SMCs, memory is identified by its address or by the address of its page list. */
export class SmcRpcMemory implements RpcMemory {
  constructor(private readonly pool: ShmPool) {}

  allocate(size: number): TeeShm {
    return this.pool.allocate(size);
  }

  give(state: RpcState, answer: MsgArg, shm: TeeShm): void {
    if (shm.pages === undefined) {
      answer.setParam(0, OpteeMsgAttr.tmemOutput, shm.address, shm.size, shm.id);
      return;
    }
    const list = this.pool.allocate(pageListSize(shm.pages.length));
    state.pageList = list;
    writePageList(list.bytes, list.address, shm.pages);
    answer.setParam(0, OpteeMsgAttr.tmemOutput | attrNoncontig, list.address, shm.size, shm.id);
  }

  fromMsgParam(request: MsgArg, index: number): TeeParam {
    return fromMsgParam(request, index, this.pool);
  }
}
