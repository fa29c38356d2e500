/**
 * The layout of `.nwt` files; see docs/trace-format.md. Everything is little-endian.
 *
 * A file is a header and chunks. Each chunk is self-contained (it defines the texts that it uses) and has a checksum.
 * If a process dies, all chunks except possibly the last are complete, and damage affects only the damaged chunks.
 */

export const nwtVersion = 1;
export const fileHeaderSize = 32;
/** `\x89NWT\r\n\x1a\n`: detects transfers that convert line ends or stop at end-of-file characters. */
export const fileMagic = Uint8Array.of(0x89, 0x4e, 0x57, 0x54, 0x0d, 0x0a, 0x1a, 0x0a);

export const chunkHeaderSize = 32;
/** `NWTC` */
export const chunkMagic = 0x4354_574e;
export const ChunkType = { subject: 1, events: 2 } as const;
/** Largest payload of a chunk, in bytes; larger sizes are invalid. */
export const maxChunkPayload = 1 << 20;

/** Offsets in the header of a chunk, in bytes. */
export const ChunkField = {
  magic: 0,
  type: 4,
  /** Bytes behind the header; a multiple of 32. */
  payloadSize: 8,
  checksum: 12,
  /** Chunks of events are numbered 0, 1, 2, ...; a missing number means a lost chunk. */
  sequence: 16,
} as const;

/** Alignment of the beginning and size of chunks, in bytes. */
export const chunkGrain = 32;

/**
 * Size of a record, and of a short record without operands and text, which ends after its time and has `shortBit` in
 * its kind. Bytes.
 */
export const recordSize = 32;
export const shortRecordSize = 16;
export const shortBit = 0x200;
/** Offsets in a record, in bytes. `time` is a float64, in milliseconds. */
export const RecordField = { kind: 0, call: 4, time: 8, a: 16, b: 20, c: 24, text: 28 } as const;

/**
 * The kind of a record that defines a text: `call` is its number, `a` its length in bytes of UTF-8. The bytes follow,
 * padded with zeros to a multiple of 16.
 */
export const textKind = 0;
/** The kind of a short record without meaning, used as padding. */
export const paddingKind = 0xff;
/** Longer texts are truncated. Bytes of UTF-8. */
export const maxTextSize = 4096;

/**
 * The checksum of a chunk: FNV-1a (offset basis 0x811c9dc5, prime 0x01000193) over 32-bit words instead of bytes, in
 * four lanes (word i belongs to lane i mod 4), whose results are combined in the same way. The header's checksum field
 * counts as 0.
 * @param size number of bytes from `offset`; a multiple of 16.
 */
export function chunkChecksum(view: DataView, offset: number, size: number): number {
  const prime = 0x0100_0193;
  let lane0 = 0x811c_9dc5 | 0;
  let lane1 = lane0;
  let lane2 = lane0;
  let lane3 = lane0;
  for (let at = offset; at < offset + size; at += 16) {
    lane0 = Math.imul(lane0 ^ view.getUint32(at, true), prime);
    lane1 = Math.imul(lane1 ^ view.getUint32(at + 4, true), prime);
    lane2 = Math.imul(lane2 ^ view.getUint32(at + 8, true), prime);
    const word = at === offset ? 0 : view.getUint32(at + 12, true);
    lane3 = Math.imul(lane3 ^ word, prime);
  }
  let hash = 0x811c_9dc5 | 0;
  for (const lane of [lane0, lane1, lane2, lane3]) hash = Math.imul(hash ^ lane, prime);
  return hash >>> 0;
}

/** The header of a file. */
export function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(fileHeaderSize);
  bytes.set(fileMagic);
  new DataView(bytes.buffer).setUint32(8, nwtVersion, true);
  return bytes;
}
