import { OpteeFfa, OpteeFfaCapability, opteeFfaApiVersion } from '../../protocol/optee-ffa.js';
import { msgArgSize } from '../../protocol/optee-msg.js';
import { SecureWorldCapability } from '../../protocol/optee-smc.js';
import { pageSize } from '../../protocol/physical-memory.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { commsError } from '../../tee/teec-error.js';
import { maxArgParamCount } from '../arg-cache.js';
import { defaultMaxNotificationValue } from '../notification.js';
import type { SecureWorldInfo } from '../smc/smc-probe.js';
import { ffaAnswerInWords } from './ffa-call.js';
import type { FfaLink } from './ffa-link.js';

/** OP-TEE's properties, as it reports them over FF-A. */
export interface FfaProbe {
  readonly info: SecureWorldInfo;
  /** Messages may begin at an offset in their memory. */
  readonly argOffset: boolean;
}

/**
 * Read OP-TEE's version and capabilities.
 * @throws TeecError NOT_SUPPORTED with the reason if this driver cannot use it.
 */
export async function probeFfa(link: FfaLink): Promise<FfaProbe> {
  const api = await link.direct(OpteeFfa.getApiVersion);
  if (api.a3 !== opteeFfaApiVersion.major)
    throw refused(`its API version is ${api.a3}.${api.a4}, expected ${opteeFfaApiVersion.major}.x`);
  const os = await link.direct(OpteeFfa.getOsVersion);
  const exchanged = await link.direct(OpteeFfa.exchangeCapabilities);
  if (exchanged.a3 !== 0) throw refused(`it refuses our capabilities with ${ffaAnswerInWords(exchanged.a3)}`);
  // Bits 31:8 are reserved (optee_ffa.h, EXCHANGE_CAPABILITIES).
  const rpcParamCount = exchanged.a4 & 0xff;
  if (rpcParamCount === 0) throw refused('it needs no space for RPC messages');
  if (msgArgSize(maxArgParamCount) + msgArgSize(rpcParamCount) > pageSize)
    throw refused(`it needs space for ${rpcParamCount} RPC parameters, more than fit into a page`);

  const asyncNotif = (exchanged.a5 & OpteeFfaCapability.asyncNotif) !== 0;
  let capabilities = SecureWorldCapability.dynamicShm | SecureWorldCapability.memrefNull | SecureWorldCapability.rpcArg;
  if (asyncNotif) capabilities |= SecureWorldCapability.asyncNotif;
  if ((exchanged.a5 & OpteeFfaCapability.rpmbProbe) !== 0) capabilities |= SecureWorldCapability.rpmbProbe;
  return {
    info: {
      apiRevision: { major: api.a3, minor: api.a4 },
      osRevision: { major: os.a3, minor: os.a4, buildId: os.a5 },
      capabilities,
      // FF-A has no service that reports it.
      threadCount: 0,
      // Threads wait for values above the asynchronous ones. Older OP-TEE versions leave the register 0.
      maxNotificationValue: Math.max(asyncNotif ? exchanged.a6 : 0, defaultMaxNotificationValue),
      rpcParamCount,
      reservedShm: undefined,
    },
    argOffset: (exchanged.a5 & OpteeFfaCapability.argOffset) !== 0,
  };
}

function refused(why: string) {
  return commsError(TeeResult.ERROR_NOT_SUPPORTED, `probing secure world: ${why}`);
}
