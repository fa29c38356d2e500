/**
 * GlobalPlatform's result codes and origins.
 * Source: GlobalPlatform TEE Client API Specification v1.0 (GPD_SPE_007), section 4.4 and its errata; TEE Internal Core
 * API Specification (GPD_SPE_010), section 3.3.3; OP-TEE's tee_api_defines.h for the codes 0xf....
 */
export const TeeResult = {
  SUCCESS: 0x0000_0000,
  ERROR_CORRUPT_OBJECT: 0xf010_0001,
  ERROR_CORRUPT_OBJECT_2: 0xf010_0002,
  ERROR_STORAGE_NOT_AVAILABLE: 0xf010_0003,
  ERROR_STORAGE_NOT_AVAILABLE_2: 0xf010_0004,
  ERROR_CIPHERTEXT_INVALID: 0xf010_0006,
  ERROR_GENERIC: 0xffff_0000,
  ERROR_ACCESS_DENIED: 0xffff_0001,
  ERROR_CANCEL: 0xffff_0002,
  ERROR_ACCESS_CONFLICT: 0xffff_0003,
  ERROR_EXCESS_DATA: 0xffff_0004,
  ERROR_BAD_FORMAT: 0xffff_0005,
  ERROR_BAD_PARAMETERS: 0xffff_0006,
  ERROR_BAD_STATE: 0xffff_0007,
  ERROR_ITEM_NOT_FOUND: 0xffff_0008,
  ERROR_NOT_IMPLEMENTED: 0xffff_0009,
  ERROR_NOT_SUPPORTED: 0xffff_000a,
  ERROR_NO_DATA: 0xffff_000b,
  ERROR_OUT_OF_MEMORY: 0xffff_000c,
  ERROR_BUSY: 0xffff_000d,
  ERROR_COMMUNICATION: 0xffff_000e,
  ERROR_SECURITY: 0xffff_000f,
  ERROR_SHORT_BUFFER: 0xffff_0010,
  ERROR_EXTERNAL_CANCEL: 0xffff_0011,
  ERROR_TIMEOUT: 0xffff_3001,
  ERROR_OVERFLOW: 0xffff_300f,
  ERROR_TARGET_DEAD: 0xffff_3024,
  ERROR_STORAGE_NO_SPACE: 0xffff_3041,
  ERROR_MAC_INVALID: 0xffff_3071,
  ERROR_SIGNATURE_INVALID: 0xffff_3072,
  ERROR_TIME_NOT_SET: 0xffff_5000,
  ERROR_TIME_NEEDS_RESET: 0xffff_5001,
} as const;

/** The name of a result code without its prefix: `ERROR_BUSY`; for an unknown code, the code in hexadecimal. */
export function teeResultName(code: number): string {
  return resultNames.get(code) ?? `0x${(code >>> 0).toString(16).padStart(8, '0')}`;
}

const resultNames = new Map<number, string>(Object.entries(TeeResult).map(([name, code]) => [code, name]));

/** TEEC_ORIGIN_*: which layer a result comes from (TEE Client API, table 4-3). */
export const TeeOrigin = {
  /** The client library: the request never left it. */
  API: 1,
  /** Between the client and the TEE: the driver, the conduit. */
  COMMS: 2,
  /** The trusted OS. */
  TEE: 3,
  TRUSTED_APP: 4,
} as const;
export type TeeOrigin = (typeof TeeOrigin)[keyof typeof TeeOrigin];

/** The name of an origin: `TRUSTED_APP`; for an unknown number, `origin 9`. */
export function teeOriginName(origin: number): string {
  return originNames.get(origin) ?? `origin ${origin}`;
}

const originNames = new Map<number, string>(Object.entries(TeeOrigin).map(([name, origin]) => [origin, name]));
