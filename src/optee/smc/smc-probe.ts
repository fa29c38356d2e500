import type { Conduit, SmcRegisters } from '../../protocol/conduit.js';
import { smcRegisters } from '../../protocol/conduit.js';
import { msgArgSize } from '../../protocol/optee-msg.js';
import {
  OpteeSmc,
  OpteeSmcReturn,
  opteeApiRevision,
  opteeApiUid,
  SecureWorldCapability,
  shmCached,
  smcReturnInWords,
} from '../../protocol/optee-smc.js';
import { type MemoryRange, pageSize } from '../../protocol/physical-memory.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { commsError } from '../../tee/teec-error.js';
import { maxArgParamCount } from '../arg-cache.js';
import { defaultMaxNotificationValue } from '../notification.js';

/** The properties that secure world reports. */
export interface SecureWorldInfo {
  readonly apiRevision: { readonly major: number; readonly minor: number };
  readonly osRevision: { readonly major: number; readonly minor: number; readonly buildId: number };
  /** `SecureWorldCapability` bits. */
  readonly capabilities: number;
  /** Number of thread contexts; 0 if it is not reported. */
  readonly threadCount: number;
  readonly maxNotificationValue: number;
  /** Number of parameters of the RPC message behind each message; 0 if RPC messages are allocated by RPC. */
  readonly rpcParamCount: number;
  /** Memory that secure world reserved for sharing. */
  readonly reservedShm: MemoryRange | undefined;
}

/**
 * Check that secure world is an OP-TEE that this driver supports, and read its capabilities.
 * @throws TeecError NOT_SUPPORTED with the reason.
 */
export async function probeSmc(conduit: Conduit): Promise<SecureWorldInfo> {
  const smc = async (functionId: number, a1 = 0): Promise<SmcRegisters> => conduit.smc(smcRegisters(functionId, a1));

  const uid = await smc(OpteeSmc.callsUid);
  if ([uid.a0, uid.a1, uid.a2, uid.a3].some((word, index) => word !== opteeApiUid[index]))
    throw refused(`it is not OP-TEE: its UID is ${[uid.a0, uid.a1, uid.a2, uid.a3].map(hex).join('-')}`);

  const os = await smc(OpteeSmc.getOsRevision);
  const api = await smc(OpteeSmc.callsRevision);
  if (api.a0 !== opteeApiRevision.major)
    throw refused(`its API revision is ${api.a0}.${api.a1}, expected ${opteeApiRevision.major}.x`);

  const threads = await smc(OpteeSmc.getThreadCount);
  const exchanged = await smc(OpteeSmc.exchangeCapabilities);
  if (exchanged.a0 !== OpteeSmcReturn.ok)
    throw refused(`it refuses our capabilities with return code ${smcReturnInWords(exchanged.a0)}`);
  const capabilities = exchanged.a1;

  const dynamic = (capabilities & SecureWorldCapability.dynamicShm) !== 0;
  let reservedShm: MemoryRange | undefined;
  if ((capabilities & SecureWorldCapability.reservedShm) !== 0) {
    const config = await smc(OpteeSmc.getShmConfig);
    if (config.a0 === OpteeSmcReturn.ok) {
      // Without reserved memory, dynamic shared memory is used. Linux does not query it in that case.
      if (config.a3 === shmCached) reservedShm = { base: config.a1, size: config.a2 };
      else if (!dynamic)
        throw refused(
          `its reserved shared memory has cache setting ${config.a3}, only ${shmCached} (cached) is supported`,
        );
    }
  }
  if (reservedShm === undefined && !dynamic) throw refused('it has neither dynamic nor reserved shared memory');

  // Bits 31:8 are reserved (optee_smc.h, EXCHANGE_CAPABILITIES).
  const rpcParamCount = (capabilities & SecureWorldCapability.rpcArg) !== 0 ? exchanged.a3 & 0xff : 0;
  if (msgArgSize(maxArgParamCount) + msgArgSize(rpcParamCount) > pageSize)
    throw refused(`it needs space for ${rpcParamCount} RPC parameters, more than fit into a page`);

  return {
    apiRevision: { major: api.a0, minor: api.a1 },
    osRevision: { major: os.a0, minor: os.a1, buildId: os.a2 },
    capabilities,
    threadCount: threads.a0 === OpteeSmcReturn.ok ? threads.a1 : 0,
    maxNotificationValue:
      (capabilities & SecureWorldCapability.asyncNotif) !== 0 ? exchanged.a2 : defaultMaxNotificationValue,
    rpcParamCount,
    reservedShm,
  };
}

function refused(why: string) {
  return commsError(TeeResult.ERROR_NOT_SUPPORTED, `probing secure world: ${why}`);
}

function hex(word: number): string {
  return `0x${word.toString(16).padStart(8, '0')}`;
}
