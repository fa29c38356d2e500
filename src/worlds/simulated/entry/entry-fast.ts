import type { SmcRegisters } from '../../../protocol/conduit.js';
import { smcRegisters } from '../../../protocol/conduit.js';
import {
  asyncNotifPending,
  asyncNotifValid,
  lower32,
  normalWorldUniprocessor,
  OpteeSmc,
  OpteeSmcReturn,
  opteeApiRevision,
  opteeApiUid,
  opteeOsUuid,
  SecureWorldCapability,
  shmCached,
  smcName,
  upper32,
} from '../../../protocol/optee-smc.js';
import { osRevision } from '../core/configuration.js';
import type { Core } from '../core/core.js';
import { rpcMaxParamCount } from '../rpc/thread-rpc.js';

/**
 * A fast call: it needs no thread context. Registers that a function does not set are returned unchanged. Source:
 * core/arch/arm/tee/entry_fast.c.
 */
export function entryFast(core: Core, call: SmcRegisters): SmcRegisters {
  switch (call.a0) {
    case OpteeSmc.callsUid:
      return smcRegisters(...opteeApiUid);
    case OpteeSmc.callsRevision:
      return { ...call, a0: opteeApiRevision.major, a1: opteeApiRevision.minor };
    case OpteeSmc.getOsUuid:
      return smcRegisters(...opteeOsUuid);
    case OpteeSmc.getOsRevision:
      return { ...call, a0: osRevision.major, a1: osRevision.minor, a2: 0 };
    case OpteeSmc.getShmConfig:
      return getShmConfig(core, call);
    case OpteeSmc.exchangeCapabilities:
      return exchangeCapabilities(core, call);
    case OpteeSmc.getThreadCount: {
      const { announcedThreads } = core.configuration;
      return announcedThreads === undefined
        ? unknown(core, call)
        : { ...call, a0: OpteeSmcReturn.ok, a1: announcedThreads };
    }
    case OpteeSmc.enableShmCache:
      if (!core.idle) return { ...call, a0: OpteeSmcReturn.ebusy };
      core.preallocRpcCache = true;
      return { ...call, a0: OpteeSmcReturn.ok };
    case OpteeSmc.disableShmCache:
      return disableShmCache(core, call);
    case OpteeSmc.enableAsyncNotif:
      if (!core.configuration.asyncNotif) return unknown(core, call);
      core.asyncNotif.started = true;
      return { ...call, a0: OpteeSmcReturn.ok };
    case OpteeSmc.getAsyncNotifValue: {
      if (!core.configuration.asyncNotif) return unknown(core, call);
      const taken = core.asyncNotif.take();
      if (taken === undefined) return { ...call, a0: OpteeSmcReturn.ok, a1: 0, a2: 0 };
      const flags = asyncNotifValid | (taken.more ? asyncNotifPending : 0);
      return { ...call, a0: OpteeSmcReturn.ok, a1: taken.value, a2: flags };
    }
    default:
      return unknown(core, call);
  }
}

function unknown(core: Core, call: SmcRegisters): SmcRegisters {
  core.log(`unknown fast call ${smcName(call.a0)}`);
  return { ...call, a0: OpteeSmcReturn.unknownFunction };
}

function getShmConfig(core: Core, call: SmcRegisters): SmcRegisters {
  const { reservedShm } = core.memory;
  if (reservedShm === undefined) return unknown(core, call);
  return { ...call, a0: OpteeSmcReturn.ok, a1: reservedShm.base, a2: reservedShm.size, a3: shmCached };
}

function exchangeCapabilities(core: Core, call: SmcRegisters): SmcRegisters {
  if ((call.a1 & ~normalWorldUniprocessor) !== 0) return { ...call, a0: OpteeSmcReturn.enotAvail };
  const { configuration, memory } = core;
  let capabilities = SecureWorldCapability.rpmbProbe;
  if (memory.reservedShm !== undefined) capabilities |= SecureWorldCapability.reservedShm;
  if (configuration.dynamicShm) capabilities |= SecureWorldCapability.dynamicShm;
  if (configuration.memrefNull) capabilities |= SecureWorldCapability.memrefNull;
  if (configuration.asyncNotif) capabilities |= SecureWorldCapability.asyncNotif;
  if (configuration.rpcArg) capabilities |= SecureWorldCapability.rpcArg;
  return {
    ...call,
    a0: OpteeSmcReturn.ok,
    a1: capabilities,
    a2: configuration.asyncNotif ? core.notificationBase + configuration.threads : call.a2,
    a3: configuration.rpcArg ? rpcMaxParamCount : call.a3,
  };
}

/** Return one cached RPC message per call; ENOTAVAIL, and the cache is off, when there is none left. */
function disableShmCache(core: Core, call: SmcRegisters): SmcRegisters {
  if (!core.idle) return { ...call, a0: OpteeSmcReturn.ebusy };
  for (const thread of core.threads) {
    const mobj = thread.rpcMobj;
    if (mobj === undefined) continue;
    thread.rpcMobj = undefined;
    thread.rpcArg = undefined;
    core.registeredShm.remove(mobj);
    return { ...call, a0: OpteeSmcReturn.ok, a1: upper32(mobj.cookie), a2: lower32(mobj.cookie) };
  }
  core.preallocRpcCache = false;
  return { ...call, a0: OpteeSmcReturn.enotAvail };
}
