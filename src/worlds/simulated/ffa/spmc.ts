import type { SmcRegisters } from '../../../protocol/conduit.js';
import { smcRegisters } from '../../../protocol/conduit.js';
import {
  Ffa,
  FfaError,
  FfaFeature,
  notificationsOfPartitions,
  partitionCountOnly,
  partitionInfoSize,
  uuidWords,
  writePartitionInfo,
} from '../../../protocol/ffa.js';
import {
  OpteeFfa,
  OpteeFfaCapability,
  OpteeFfaReturn,
  opteeFfaApiVersion,
  opteeFfaNotificationCount,
  opteePartitionUuid,
} from '../../../protocol/optee-ffa.js';
import {
  fromRegisterPair,
  isRpcReturn,
  lower32,
  OpteeSmc,
  OpteeSmcReturn,
  OpteeSmcRpc,
  rpcFunction,
  upper32,
} from '../../../protocol/optee-smc.js';
import { type PhysicalAddress, pageSize } from '../../../protocol/physical-memory.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import { osRevision } from '../core/configuration.js';
import type { Core } from '../core/core.js';
import type { FfaShares } from '../memory/ffa-shares.js';
import { normalWorldId, opteeId } from '../memory/partitions.js';
import { rpcMaxParamCount } from '../rpc/thread-rpc.js';

/** The partition id of the partition manager itself. */
const spmcId = 0x8000;

/** FF-A 1.2: OP-TEE 4.10 returns this for every requested version. */
const version = 0x0001_0002;
/** OP-TEE's execution contexts are the CPUs that it is built for. It does not report its number of threads. */
const executionContexts = 4;
/** The SGI that announces a notification (CFG_CORE_ASYNC_NOTIF_GIC_INTID). */
const notificationInterrupt = 8;

/** The part of OP-TEE that the partition manager uses: yielding calls, in terms of raw SMCs. */
export interface YieldingCalls {
  enter(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters>;
  resume(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters>;
}

interface Mailboxes {
  readonly transmit: PhysicalAddress;
  readonly receive: PhysicalAddress;
  readonly size: number;
  /** The receive mailbox holds data that the normal world has not released. */
  full: boolean;
}

/**
 * The secure partition manager, with OP-TEE as its only partition, as in a build with CFG_CORE_SEL1_SPMC. Source: FF-A
 * specification 1.2; core/arch/arm/kernel/thread_spmc.c of OP-TEE 4.10. Callers of FF-A 1.0 are not supported.
 */
export class Spmc {
  private mailboxes: Mailboxes | undefined;
  /** The bound notifications; undefined until the normal world has created its bitmap. */
  private bound: Set<number> | undefined;
  private bottomHalfNotification: number | undefined;

  constructor(
    private readonly core: Core,
    private readonly shares: FfaShares,
    private readonly calls: YieldingCalls,
  ) {}

  smc(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    switch (call.a0) {
      case Ffa.msgSendDirectReq:
        return this.directRequest(call);
      case Ffa.version:
        return smcRegisters(call.a1 >>> 31 === 0 ? version : FfaError.notSupported);
      case Ffa.features:
        return this.features(call.a1);
      case Ffa.idGet:
        return success(normalWorldId);
      case Ffa.spmIdGet:
        return success(spmcId);
      case Ffa.rxtxMap:
        return this.map(call);
      case Ffa.rxtxUnmap:
        if (this.mailboxes === undefined) return error(FfaError.invalidParameters);
        this.mailboxes = undefined;
        return success();
      case Ffa.rxRelease:
        if (!this.mailboxes?.full) return error(FfaError.denied);
        this.mailboxes.full = false;
        return success();
      case Ffa.partitionInfoGet:
        return this.partitionInfo(call);
      case Ffa.memShare:
        return this.share(call);
      case Ffa.memFragTx:
        return this.fragment(call);
      case Ffa.memReclaim: {
        const refusal = this.shares.reclaim(fromRegisterPair(call.a2, call.a1));
        return refusal === undefined ? success() : error(refusal);
      }
      case Ffa.notificationBitmapCreate:
        if (call.a1 !== normalWorldId) return error(FfaError.invalidParameters);
        if (this.bound !== undefined) return error(FfaError.denied);
        this.bound = new Set();
        return success();
      case Ffa.notificationBitmapDestroy:
        if (this.bound === undefined) return error(FfaError.denied);
        this.bound = undefined;
        return success();
      case Ffa.notificationBind:
      case Ffa.notificationUnbind:
        return this.bind(call);
      case Ffa.notificationGet:
        return this.notifications(call);
      default:
        this.core.log(`unknown FF-A function 0x${call.a0.toString(16)}`);
        return error(FfaError.notSupported);
    }
  }

  private map({ a1, a2, a3 }: SmcRegisters): SmcRegisters {
    if (this.mailboxes !== undefined) return error(FfaError.denied);
    const size = (a3 & 0x3f) * pageSize;
    const { memory } = this.core;
    const usable = [a1, a2].every((address) => address % pageSize === 0 && memory.isNonSecure(address, size));
    if (size === 0 || !usable || Math.abs(a1 - a2) < size) return error(FfaError.invalidParameters);
    this.mailboxes = { transmit: a1, receive: a2, size, full: false };
    return success();
  }

  private features(id: number): SmcRegisters {
    if (id === FfaFeature.scheduleReceiver)
      return this.core.configuration.asyncNotif ? success(notificationInterrupt) : error(FfaError.notSupported);
    // Descriptors may be in a buffer of the caller.
    if (id === Ffa.memShare) return success(1);
    return features.has(id) ? success() : error(FfaError.notSupported);
  }

  private partitionInfo({ a1, a2, a3, a4, a5 }: SmcRegisters): SmcRegisters {
    const wanted = [a1, a2, a3, a4];
    const isOptee =
      wanted.every((word) => word === 0) ||
      uuidWords(opteePartitionUuid).every((word, index) => word === wanted[index]);
    const countOnly = (a5 & partitionCountOnly) !== 0;
    const { mailboxes } = this;
    if (!countOnly && (mailboxes === undefined || mailboxes.full)) return error(FfaError.busy);
    if (!isOptee) return error(FfaError.invalidParameters);
    if (countOnly || mailboxes === undefined) return success(1);
    const info = this.core.memory.window(mailboxes.receive, partitionInfoSize);
    writePartitionInfo(info, opteeId, executionContexts, opteePartitionUuid);
    mailboxes.full = true;
    return success(1, partitionInfoSize);
  }

  private share({ a1: total, a2: length }: SmcRegisters): SmcRegisters {
    const piece = this.transmitted(length);
    return piece === undefined ? error(FfaError.invalidParameters) : this.answer(this.shares.share(total, piece));
  }

  private fragment({ a1, a2, a3: length }: SmcRegisters): SmcRegisters {
    const piece = this.transmitted(length);
    if (piece === undefined) return error(FfaError.invalidParameters);
    return this.answer(this.shares.more(fromRegisterPair(a2, a1), piece));
  }

  private answer(result: { readonly handle: number; readonly received: number } | number): SmcRegisters {
    if (typeof result === 'number') return error(result);
    const { handle, received } = result;
    if (!this.shares.isIncoming(handle)) return success(lower32(handle), upper32(handle));
    return smcRegisters(Ffa.memFragRx, lower32(handle), upper32(handle), received);
  }

  /** A copy of the transmit mailbox, because its owner can write it during the read. */
  private transmitted(length: number): Uint8Array | undefined {
    const { mailboxes } = this;
    if (mailboxes === undefined || length > mailboxes.size) return undefined;
    return this.core.memory.window(mailboxes.transmit, length).slice();
  }

  private bind({ a0, a1, a3, a4 }: SmcRegisters): SmcRegisters {
    if (this.bound === undefined || a1 !== (opteeId * 0x1_0000 + normalWorldId) >>> 0)
      return error(FfaError.invalidParameters);
    for (let bit = 0; bit < opteeFfaNotificationCount; bit++) {
      if ((((bit < 32 ? a3 : a4) >>> (bit % 32)) & 1) === 0) continue;
      if (a0 === Ffa.notificationBind) this.bound.add(bit);
      else this.bound.delete(bit);
    }
    return success();
  }

  private notifications({ a1, a2 }: SmcRegisters): SmcRegisters {
    const notification = this.bottomHalfNotification;
    if (this.bound === undefined || (a1 & 0xffff) !== normalWorldId) return error(FfaError.invalidParameters);
    const wanted = (a2 & notificationsOfPartitions) !== 0;
    if (!wanted || notification === undefined || this.core.asyncNotif.take() === undefined) return success();
    const bit = (1 << (notification % 32)) >>> 0;
    return notification < 32 ? success(bit) : success(0, bit);
  }

  private directRequest(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    if (call.a1 !== (normalWorldId * 0x1_0000 + opteeId) >>> 0 || call.a2 !== 0)
      return error(FfaError.invalidParameters);
    switch (call.a3) {
      case OpteeFfa.yieldingCallWithArg: {
        const entered = this.calls.enter(smcRegisters(OpteeSmc.callWithRegdArg, call.a5, call.a4, call.a6));
        return entered instanceof Promise ? entered.then(yielded) : yielded(entered);
      }
      case OpteeFfa.yieldingCallResume: {
        const resumed = this.calls.resume(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, call.a7));
        return resumed instanceof Promise ? resumed.then(yielded) : yielded(resumed);
      }
      default:
        return this.blockingCall(call);
    }
  }

  private blockingCall(call: SmcRegisters): SmcRegisters {
    const { configuration } = this.core;
    switch (call.a3) {
      case OpteeFfa.getApiVersion:
        return response(opteeFfaApiVersion.major, opteeFfaApiVersion.minor);
      case OpteeFfa.getOsVersion:
        return response(osRevision.major, osRevision.minor);
      case OpteeFfa.exchangeCapabilities: {
        const { asyncNotif } = configuration;
        const capabilities =
          OpteeFfaCapability.argOffset |
          OpteeFfaCapability.rpmbProbe |
          (asyncNotif ? OpteeFfaCapability.asyncNotif : 0);
        // The highest notification value is not reported: OP-TEE leaves the register 0.
        return response(0, rpcMaxParamCount, capabilities);
      }
      case OpteeFfa.unregisterShm:
        return response(this.shares.unregister(fromRegisterPair(call.a5, call.a4)));
      case OpteeFfa.enableAsyncNotif:
        if (!configuration.asyncNotif || !this.bound?.has(call.a4)) return response(TeeResult.ERROR_BAD_PARAMETERS);
        this.bottomHalfNotification = call.a4;
        this.core.asyncNotif.started = true;
        return response(0);
      default:
        this.core.log(`unknown FF-A service ${call.a3}`);
        return response(TeeResult.ERROR_BAD_PARAMETERS);
    }
  }
}

/** The functions for which FFA_FEATURES returns no further information. Others have some, or are not supported. */
const features: ReadonlySet<number> = new Set([
  ...[Ffa.error, Ffa.success, Ffa.interrupt, Ffa.version, Ffa.features, Ffa.rxRelease, Ffa.rxtxMap, Ffa.rxtxUnmap],
  ...[Ffa.partitionInfoGet, Ffa.spmIdGet, Ffa.msgSendDirectReq, Ffa.memFragTx, Ffa.memReclaim, FfaFeature.managedExit],
  ...[Ffa.notificationBitmapCreate, Ffa.notificationBitmapDestroy, Ffa.notificationBind, Ffa.notificationUnbind],
  ...[Ffa.notificationSet, Ffa.notificationGet, Ffa.notificationInfoGet],
]);

function success(a2 = 0, a3 = 0): SmcRegisters {
  return smcRegisters(Ffa.success, 0, a2, a3);
}

function error(code: number): SmcRegisters {
  return smcRegisters(Ffa.error, 0, code);
}

function response(a3: number, a4 = 0, a5 = 0, a6 = 0, a7 = 0): SmcRegisters {
  return smcRegisters(Ffa.msgSendDirectResp, (opteeId * 0x1_0000 + normalWorldId) >>> 0, 0, a3, a4, a5, a6, a7);
}

const done = response(0, OpteeFfaReturn.done);

/** The answer of a yielding call, translated from the registers of raw SMCs. */
function yielded({ a0, a3: thread }: SmcRegisters): SmcRegisters {
  if (a0 === OpteeSmcReturn.ok) return done;
  if (isRpcReturn(a0))
    return response(
      0,
      rpcFunction(a0) === OpteeSmcRpc.foreignInterrupt ? OpteeFfaReturn.interrupt : OpteeFfaReturn.rpcCommand,
      0,
      0,
      thread,
    );
  switch (a0) {
    case OpteeSmcReturn.ethreadLimit:
      return response(TeeResult.ERROR_BUSY);
    case OpteeSmcReturn.eresume:
      return response(TeeResult.ERROR_BAD_PARAMETERS);
    case OpteeSmcReturn.ebadAddr:
      return response(FfaError.invalidParameters);
    default:
      return response(TeeResult.ERROR_NOT_SUPPORTED);
  }
}
