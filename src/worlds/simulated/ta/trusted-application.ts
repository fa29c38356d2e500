import { type OptionNames, requireKnownOptions } from '../../../known-options.js';
import type { Uuid } from '../../../protocol/uuid.js';
import { parseUuid } from '../../../protocol/uuid.js';
import type { TaCall } from './ta-call.js';

/** What an entry point gives: nothing for success, or a TEE_Result; now or later. */
// biome-ignore lint/suspicious/noConfusingVoidType: an entry point that has nothing to say has no return statement.
export type TaResult = void | number | Promise<void | number>;

/** The entry points of an instance. An application that throws a `TeeError` returns its code; anything else is a panic. */
export interface TaInstanceEntryPoints {
  /** TA_OpenSessionEntryPoint. Without it every session opens. */
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
  /** For people; the UUID when there is none. */
  readonly name?: string;
  /**
   * A driver of the normal world is to be bound to it: TA_FLAG_DEVICE_ENUM, or TA_FLAG_DEVICE_ENUM_SUPP when that driver
   * needs a supplicant.
   */
  readonly device?: 'always' | 'with-supplicant' | 'with-rpmb';
  /** TA_CreateEntryPoint: state that is shared by the sessions of an instance lives in its closure. */
  create(): TaInstanceEntryPoints;
}

/** A user TA: its image is loaded from the normal world. The flags are GlobalPlatform's properties, all false at first. */
export interface UserTa extends Definition {
  readonly kind: 'user';
  /** gpd.ta.singleInstance: all sessions share one instance. */
  readonly singleInstance?: boolean;
  /** gpd.ta.multiSession: that instance takes more than one session at a time. */
  readonly multiSession?: boolean;
  /** gpd.ta.instanceKeepAlive: that instance stays when its last session closes. */
  readonly keepAlive?: boolean;
}

/** A pseudo-TA: part of OP-TEE's core; one instance for all sessions. */
export interface PseudoTa extends Definition {
  readonly kind: 'pseudo';
  /** TA_FLAG_CONCURRENT: its sessions execute at the same time. */
  readonly concurrent?: boolean;
}

/** A trusted application written in TypeScript. */
export type TrustedApplication = UserTa | PseudoTa;

const commonNames = { uuid: true, name: true, device: true, create: true, kind: true } as const;
const userNames: OptionNames<UserTa> = { ...commonNames, singleInstance: true, multiSession: true, keepAlive: true };
const pseudoNames: OptionNames<PseudoTa> = { ...commonNames, concurrent: true };

/**
 * Define a trusted application.
 * @throws TypeError when its UUID is none, or it has a property that such an application has not.
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
