/** One of two copies of the same bytes. */
export interface Side {
  /** Copy the bytes from `offset` on into all of `data`. */
  read(offset: number, data: Uint8Array): void;
  /** Copy all of `data` to `offset`. */
  write(offset: number, data: Uint8Array): void;
  /** Whether the bytes from `offset` on equal `data`. */
  equals(offset: number, data: Uint8Array): boolean;
}

/** Bytes that are compared at once. */
const pieceSize = 16 * 1024;
/** A copy of the side's bytes, because they may change during the comparison. */
const seen = new Uint8Array(pieceSize);
const seenWords = new Uint32Array(seen.buffer);

/**
 * Copy the changes of one side since the last agreement to the other side. Bytes that only the other side changed stay.
 * Most pieces are equal on both sides or changed on one side only; they are compared and copied as a whole. A piece is
 * compared byte by byte only if both sides changed it, or if the other side may be changing it now.
 * @param agreed the bytes of the last agreement, from its own first byte on; updated to the new agreement.
 * @param alone true if only the caller can write the other side before this returns.
 */
export function carryDifferences(
  from: Side,
  agreed: Uint8Array,
  to: Side,
  offset: number,
  size: number,
  alone: boolean,
): void {
  // Words of `agreed` can be compared from a multiple of 4 on, because it has its own buffer.
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

/** @param piece the first bytes of `seen`. */
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
