/**
 * The Arm Firmware Framework for A-profile (FF-A), version 1.1 and later: the part that a normal world without a
 * hypervisor needs to share memory with a secure partition and to send it direct messages. Source: FF-A specification,
 * Arm DEN 0077A, version 1.1.
 */
import type { MemoryRange } from './physical-memory.js';
import { pageSize } from './physical-memory.js';
import type { Uuid } from './uuid.js';
import { uuidOctets } from './uuid.js';

/** Function ids (register a0) of the SMC32 convention. */
export const Ffa = {
  error: 0x8400_0060,
  success: 0x8400_0061,
  interrupt: 0x8400_0062,
  version: 0x8400_0063,
  features: 0x8400_0064,
  rxRelease: 0x8400_0065,
  rxtxMap: 0x8400_0066,
  rxtxUnmap: 0x8400_0067,
  partitionInfoGet: 0x8400_0068,
  idGet: 0x8400_0069,
  run: 0x8400_006d,
  msgSendDirectReq: 0x8400_006f,
  msgSendDirectResp: 0x8400_0070,
  memShare: 0x8400_0073,
  memReclaim: 0x8400_0077,
  memFragRx: 0x8400_007a,
  memFragTx: 0x8400_007b,
  notificationBitmapCreate: 0x8400_007d,
  notificationBitmapDestroy: 0x8400_007e,
  notificationBind: 0x8400_007f,
  notificationUnbind: 0x8400_0080,
  notificationSet: 0x8400_0081,
  notificationGet: 0x8400_0082,
  notificationInfoGet: 0x8400_0083,
  spmIdGet: 0x8400_0085,
} as const;

/** Error codes, a2 of FFA_ERROR, as unsigned words. */
export const FfaError = {
  notSupported: 0xffff_ffff,
  invalidParameters: 0xffff_fffe,
  noMemory: 0xffff_fffd,
  busy: 0xffff_fffc,
  interrupted: 0xffff_fffb,
  denied: 0xffff_fffa,
  retry: 0xffff_fff9,
  aborted: 0xffff_fff8,
} as const;

/** The name of an error code for messages: `FFA_DENIED`. */
export function ffaErrorName(code: number): string {
  const known = Object.entries(FfaError).find(([, value]) => value === code)?.[0];
  return known === undefined
    ? `FF-A error ${code | 0}`
    : `FFA_${known.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** Whether an unsigned word is an error code that FF-A defines. */
export function isFfaError(code: number): boolean {
  return Object.values<number>(FfaError).includes(code);
}

/** FFA_FEATURES: ids of features that are not functions, the interrupts of notifications and of managed exit. */
export const FfaFeature = { notificationPending: 1, scheduleReceiver: 2, managedExit: 3 } as const;

/** FFA_VERSION, the version that the driver requests: major in bits 30:16, minor in bits 15:0. */
export const ffaVersion = { major: 1, minor: 1, word: 0x0001_0001 } as const;

/** FFA_NOTIFICATION_GET, a2: request the notifications of secure partitions. */
export const notificationsOfPartitions = 1 << 0;

/** The four words in which FFA_PARTITION_INFO_GET carries a UUID: its octets, four per word, little endian. */
export function uuidWords(uuid: Uuid): readonly [number, number, number, number] {
  const view = new DataView(uuidOctets(uuid).buffer);
  return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)];
}

/** A partition as FFA_PARTITION_INFO_GET describes it (table 6.33), 24 octets. */
export interface PartitionInfo {
  readonly id: number;
  /** The partition receives direct requests: bit 0 of its properties. */
  readonly receivesDirectRequests: boolean;
}
export const partitionInfoSize = 24;
/** FFA_PARTITION_INFO_GET, a5: return only the number of partitions, and write nothing to the mailbox. */
export const partitionCountOnly = 1 << 0;
/** Properties: receives direct requests (bit 0), sends them (bit 1), runs in AArch64 (bit 8). */
const propertiesOfOptee = (1 << 0) | (1 << 1) | (1 << 8);

/** @param contexts the number of its execution contexts, one per CPU. */
export function writePartitionInfo(bytes: Uint8Array, id: number, contexts: number, uuid: Uuid): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, partitionInfoSize);
  view.setUint16(0, id, true);
  view.setUint16(2, contexts, true);
  view.setUint32(4, propertiesOfOptee, true);
  uuidWords(uuid).forEach((word, index) => {
    view.setUint32(8 + 4 * index, word, true);
  });
}

export function readPartitionInfo(bytes: Uint8Array): PartitionInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, partitionInfoSize);
  return { id: view.getUint16(0, true), receivesDirectRequests: (view.getUint32(4, true) & 1) !== 0 };
}

/** Sizes in octets: header of the transaction descriptor, one receiver, header of the composite, one range. */
const headerSize = 48;
const receiverSize = 16;
const compositeSize = 16;
const rangeSize = 16;
const compositeOffset = headerSize + receiverSize;
/** Normal memory, write-back cacheable, inner shareable (table 10.18). */
const attributesNormal = 0x2f;
/**
 * Read and write (table 10.15). The sender of a share must leave the instruction access permission of the receiver "not
 * specified" (section 10.10.3); OP-TEE refuses anything else.
 */
const permissions = 0x02;

/** A memory transaction: the sender, the receiver and the shared memory (tables 10.13, 10.16, 10.20). */
export interface MemoryTransaction {
  readonly sender: number;
  readonly receiver: number;
  /** Each range consists of whole pages. */
  readonly ranges: readonly MemoryRange[];
}

export function writeMemoryTransaction({ sender, receiver, ranges }: MemoryTransaction): Uint8Array {
  const bytes = new Uint8Array(compositeOffset + compositeSize + rangeSize * ranges.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, sender, true);
  view.setUint16(2, attributesNormal, true);
  view.setUint32(24, receiverSize, true);
  view.setUint32(28, 1, true);
  view.setUint32(32, headerSize, true);
  view.setUint16(headerSize, receiver, true);
  view.setUint8(headerSize + 2, permissions);
  view.setUint32(headerSize + 4, compositeOffset, true);
  const pages = ranges.reduce((sum, { size }) => sum + size / pageSize, 0);
  view.setUint32(compositeOffset, pages, true);
  view.setUint32(compositeOffset + 4, ranges.length, true);
  ranges.forEach(({ base, size }, index) => {
    const offset = compositeOffset + compositeSize + index * rangeSize;
    view.setBigUint64(offset, BigInt(base), true);
    view.setUint32(offset + 8, size / pageSize, true);
  });
  return bytes;
}

/**
 * Parse a memory transaction. Undefined if it is not a transaction of one sender with one receiver, if its counts do
 * not agree, or if its attributes or permissions differ from those of a share with OP-TEE.
 */
export function readMemoryTransaction(bytes: Uint8Array): MemoryTransaction | undefined {
  if (bytes.length < headerSize) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const receiverAt = view.getUint32(32, true);
  if (view.getUint32(24, true) !== receiverSize || view.getUint32(28, true) !== 1) return undefined;
  if (receiverAt < headerSize || receiverAt + receiverSize > bytes.length) return undefined;
  if (view.getUint16(2, true) !== attributesNormal || view.getUint8(receiverAt + 2) !== permissions) return undefined;
  const compositeAt = view.getUint32(receiverAt + 4, true);
  if (compositeAt < receiverAt + receiverSize || compositeAt + compositeSize > bytes.length) return undefined;
  const pages = view.getUint32(compositeAt, true);
  const count = view.getUint32(compositeAt + 4, true);
  const first = compositeAt + compositeSize;
  if (count === 0 || first + count * rangeSize !== bytes.length) return undefined;
  const ranges: MemoryRange[] = [];
  for (let index = 0; index < count; index++) {
    const offset = first + index * rangeSize;
    // Inexact above 2^53. There is no memory there, so the address is refused later.
    const base = Number(view.getBigUint64(offset, true));
    ranges.push({ base, size: view.getUint32(offset + 8, true) * pageSize });
  }
  if (ranges.some(({ base, size }) => size === 0 || base % pageSize !== 0)) return undefined;
  if (ranges.reduce((sum, { size }) => sum + size / pageSize, 0) !== pages) return undefined;
  return { sender: view.getUint16(0, true), receiver: view.getUint16(receiverAt, true), ranges };
}

/** The contiguous ranges that the pages form, in order. */
export function rangesOfPages(pages: readonly number[]): MemoryRange[] {
  const ranges: { base: number; size: number }[] = [];
  for (const page of pages) {
    const last = ranges.at(-1);
    if (last !== undefined && last.base + last.size === page) last.size += pageSize;
    else ranges.push({ base: page, size: pageSize });
  }
  return ranges;
}
