/** One of two places that hold the same bytes. */
export interface Side {
  /** Copy from `offset` on into all of `data`. */
  read(offset: number, data: Uint8Array): void;
  /** Copy all of `data` to `offset`. */
  write(offset: number, data: Uint8Array): void;
  /** Whether what is there from `offset` on is `data`. */
  equals(offset: number, data: Uint8Array): boolean;
}

/** Bytes that are looked at at once. */
const pieceSize = 16 * 1024;
/** The side's bytes, copied once: it may change while we look. */
const seen = new Uint8Array(pieceSize);
const seenWords = new Uint32Array(seen.buffer);

/**
 * Carry what has changed on one side, since both agreed, to the other, and nothing else: what the other changed
 * elsewhere stays. Most pieces are the same on both sides, or have been changed on one: those are compared as a whole, and copied as
 * a whole. Only where both sides changed a piece, or the other may just now, is it gone through byte by byte.
 * @param agreed what both sides agreed on, from its own first byte on; becomes what they agree on now.
 * @param alone nobody but the caller can write the other side before this returns.
 */
export function carryDifferences(
  from: Side,
  agreed: Uint8Array,
  to: Side,
  offset: number,
  size: number,
  alone: boolean,
): void {
  // Words of `agreed` can be compared from a multiple of 4 on; its buffer is our own.
  for (let at = offset; at < offset + size; ) {
    const end = Math.min(offset + size, (Math.floor(at / pieceSize) + 1) * pieceSize);
    const known = agreed.subarray(at, end);
    if (!from.equals(at, known)) {
      const piece = seen.subarray(0, end - at);
      from.read(at, piece);
      if (alone && to.equals(at, known)) {
        known.set(piece);
        to.write(at, piece);
      } else carryPiece(piece, agreed, to, at);
    }
    at = end;
  }
}

/** @param piece the beginning of `seen`. */
function carryPiece(piece: Uint8Array, agreed: Uint8Array, to: Side, at: number): void {
  const { length } = piece;
  let position = 0;
  const words = (agreed.byteOffset + at) % 4 === 0 ? length >>> 2 : 0;
  const agreedWords = new Uint32Array(agreed.buffer, agreed.byteOffset + at - ((agreed.byteOffset + at) % 4), words);
  while (position < length) {
    if ((position & 3) === 0) {
      let word = position >>> 2;
      while (word < words && seenWords[word] === agreedWords[word]) word++;
      position = word << 2;
      if (position >= length) return;
    }
    if (piece[position] === agreed[at + position]) {
      position++;
      continue;
    }
    let last = position + 1;
    while (last < length && piece[last] !== agreed[at + last]) last++;
    const changed = piece.subarray(position, last);
    agreed.set(changed, at + position);
    to.write(at + position, changed);
    position = last;
  }
}
