import { type OptionNames, requireKnownOptions } from '../../../known-options.js';
import type { Uuid } from '../../../protocol/uuid.js';
import { parseUuid } from '../../../protocol/uuid.js';
import type { TaCall } from './ta-call.js';

/** The result of an entry point: undefined for success, or a TEE_Result; synchronous or as a promise. */
// biome-ignore lint/suspicious/noConfusingVoidType: an entry point that has nothing to say has no return statement.
export type TaResult = void | number | Promise<void | number>;

/**
 * The entry points of an instance. If an application throws a `TeeError`, its code is returned; any other error is a
 * panic.
 */
export interface TaInstanceEntryPoints {
  /** TA_OpenSessionEntryPoint. Default: every session opens. */
  openSession?(call: TaCall): TaResult;
  /** TA_InvokeCommandEntryPoint; the command is `call.command`. */
  invokeCommand(call: TaCall): TaResult;
  /** TA_CloseSessionEntryPoint. */
  closeSession?(call: TaCall): TaResult;
  /** TA_DestroyEntryPoint. */
  destroy?(): void;
}

interface Definition {
  readonly uuid: Uuid;
  /** The name for messages. Default: the UUID. */
  readonly name?: string;
  /**
   * The normal world has a driver for it: TA_FLAG_DEVICE_ENUM, or TA_FLAG_DEVICE_ENUM_SUPP if that driver needs a
   * supplicant.
   */
  readonly device?: 'always' | 'with-supplicant' | 'with-rpmb';
  /** TA_CreateEntryPoint. State that the sessions of an instance share is in its closure. */
  create(): TaInstanceEntryPoints;
}

/**
 * A user TA: its image is loaded from the normal world. The flags are GlobalPlatform's properties. Default of each:
 * false.
 */
export interface UserTa extends Definition {
  readonly kind: 'user';
  /** gpd.ta.singleInstance: all sessions share one instance. */
  readonly singleInstance?: boolean;
  /** gpd.ta.multiSession: the instance accepts more than one session at a time. */
  readonly multiSession?: boolean;
  /** gpd.ta.instanceKeepAlive: the instance stays when its last session closes. */
  readonly keepAlive?: boolean;
}

/** A pseudo-TA: a part of OP-TEE's core, with one instance for all sessions. */
export interface PseudoTa extends Definition {
  readonly kind: 'pseudo';
  /** TA_FLAG_CONCURRENT: its sessions execute concurrently. */
  readonly concurrent?: boolean;
}

/** A trusted application written in TypeScript. */
export type TrustedApplication = UserTa | PseudoTa;

const commonNames = { uuid: true, name: true, device: true, create: true, kind: true } as const;
const userNames: OptionNames<UserTa> = { ...commonNames, singleInstance: true, multiSession: true, keepAlive: true };
const pseudoNames: OptionNames<PseudoTa> = { ...commonNames, concurrent: true };

/**
 * Define a trusted application.
 * @throws TypeError if its UUID is invalid, or for a property that this kind of application does not have.
 */
export function trustedApplication(definition: TrustedApplication): TrustedApplication {
  switch (definition?.kind) {
    case 'user':
      requireKnownOptions('user TA', definition, userNames);
      break;
    case 'pseudo':
      requireKnownOptions('pseudo-TA', definition, pseudoNames);
      break;
    default: {
      const { kind } = (definition ?? {}) as { readonly kind?: unknown };
      throw new TypeError(`trusted application: kind ${JSON.stringify(kind)}; allowed: "user" and "pseudo"`);
    }
  }
  const uuid = parseUuid(definition.uuid);
  if (typeof definition.create !== 'function')
    throw new TypeError(`trusted application ${uuid}: create must be a function that returns its entry points`);
  return { ...definition, uuid };
}

/** TA_FLAG_* of OP-TEE's user_ta_header.h. */
export interface TaFlags {
  readonly singleInstance: boolean;
  readonly multiSession: boolean;
  readonly keepAlive: boolean;
  readonly concurrent: boolean;
}

/** The flags of an application; a pseudo-TA has PTA_MANDATORY_FLAGS. */
export function taFlags(ta: TrustedApplication): TaFlags {
  switch (ta.kind) {
    case 'pseudo':
      return { singleInstance: true, multiSession: true, keepAlive: true, concurrent: ta.concurrent ?? false };
    case 'user':
      return {
        singleInstance: ta.singleInstance ?? false,
        multiSession: ta.multiSession ?? false,
        keepAlive: ta.keepAlive ?? false,
        concurrent: false,
      };
  }
}
