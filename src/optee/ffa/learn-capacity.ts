import { OpteeFfa, OpteeFfaReturn } from '../../protocol/optee-ffa.js';
import { attrMeta, MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../protocol/optee-msg.js';
import { lower32, upper32 } from '../../protocol/optee-smc.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { uuidOctets } from '../../protocol/uuid.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { isBusy } from './ffa-call.js';
import type { FfaLink } from './ffa-link.js';

/** The UUID of an application that does not exist. */
const nobody = '6e6f726d-616c-4776-8f72-6c6470726f62';
/** Largest number of thread contexts that are counted. */
const enough = 64;
/** Largest number of RPCs that are answered until the calls have returned. */
const patience = 64 * 64;
const paramCount = 2;

interface Probe {
  readonly shm: TeeShm;
  readonly rpc: MsgArg;
  resumeInfo: number;
}

/**
 * Count the thread contexts of a secure world that does not report them: enter it until it is busy. Each call opens a
 * session with an application that does not exist; secure world requests its image from the normal world, and the call
 * keeps its thread until that is answered. After counting, the requests are refused and the calls return.
 * @param share a page that is shared with secure world.
 * @param rpcParamCount number of parameters of an RPC message.
 * @returns 0 if the number could not be determined, because a call returned without an RPC.
 */
export async function learnCapacity(
  link: FfaLink,
  share: () => Promise<TeeShm>,
  rpcParamCount: number,
): Promise<number> {
  const inside: Probe[] = [];
  let capacity = 0;
  while (inside.length < enough) {
    const shm = await share();
    const probe: Probe = { shm, rpc: writeMessage(shm, rpcParamCount), resumeInfo: 0 };
    const handle = shm.secureWorldId;
    let answer = await link.direct(OpteeFfa.yieldingCallWithArg, lower32(handle), upper32(handle));
    let interrupts = 0;
    while (answer.a3 === 0 && answer.a4 === OpteeFfaReturn.interrupt && interrupts++ < patience)
      answer = await link.direct(OpteeFfa.yieldingCallResume, 0, 0, 0, answer.a7);
    if (answer.a3 !== 0 || answer.a4 !== OpteeFfaReturn.rpcCommand) {
      if (isBusy(answer.a3)) capacity = inside.length;
      await shm.put();
      break;
    }
    probe.resumeInfo = answer.a7;
    inside.push(probe);
    if (inside.length === enough) capacity = enough;
  }
  await letOut(link, inside);
  return capacity;
}

/** Answer the calls in turn, because one may wait for another. */
async function letOut(link: FfaLink, inside: Probe[]): Promise<void> {
  for (let answers = 0; inside.length > 0 && answers < patience; answers++) {
    const probe = inside.shift();
    if (probe === undefined) return;
    probe.rpc.ret = TeeResult.ERROR_ITEM_NOT_FOUND;
    const { a3, a4, a7 } = await link.direct(OpteeFfa.yieldingCallResume, 0, 0, 0, probe.resumeInfo);
    probe.resumeInfo = a7;
    if (a3 === 0 && a4 !== OpteeFfaReturn.done) inside.push(probe);
    else await probe.shm.put();
  }
}

function writeMessage(shm: TeeShm, rpcParamCount: number): MsgArg {
  const { bytes } = shm;
  const msg = new MsgArg(bytes.subarray(0, msgArgSize(paramCount)));
  msg.reset(paramCount);
  msg.cmd = OpteeMsgCmd.openSession;
  msg.setParam(0, OpteeMsgAttr.valueInput | attrMeta, 0, 0, 0);
  msg.octets(0).set(uuidOctets(nobody));
  msg.setParam(1, OpteeMsgAttr.valueInput | attrMeta, 0, 0, 0);
  const offset = msgArgSize(paramCount);
  return new MsgArg(bytes.subarray(offset, offset + msgArgSize(rpcParamCount)));
}
