import { attrNoncontig, type MsgArg, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { fromMsgParam } from '../msg-param.js';
import { pageListSize, writePageList } from '../page-list.js';
import type { ShmPool } from '../shm-pool.js';
import type { RpcState } from './rpc-state.js';

/** How an ABI names memory in RPC messages. */
export interface RpcMemory {
  /** Memory that secure world may be given. @throws TeecError OUT_OF_MEMORY */
  allocate(size: number): TeeShm | Promise<TeeShm>;
  /** The answer to SHM_ALLOC. @throws TeecError when it cannot be written; the memory is then still the caller's. */
  give(state: RpcState, answer: MsgArg, shm: TeeShm): void;
  /** A parameter of a request, everything in it checked. @throws TeecError BAD_PARAMETERS */
  fromMsgParam(request: MsgArg, index: number): TeeParam;
}

/** Over raw SMCs memory is named by its address, or by the address of its page list. */
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
