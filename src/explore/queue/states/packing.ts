/**
 * The layout of a state: the codes of the callers, then counters and sessions, packed from the lowest bit of the first word.
 * A field may extend over two words. So the words form one long number: adding to a field does not affect the others, as long
 * as the field stays within its range.
 */
export class Packing {
  /** The number of 32-bit words of a state. */
  readonly words: number;
  private readonly codeMask: number;
  private readonly globalMask: number;

  constructor(
    private readonly callers: number,
    /** Bits for a code, at most 31. */
    private readonly codeBits: number,
    /** Bits for the counters and sessions, at most 31. */
    private readonly globalBits: number,
  ) {
    this.words = Math.max(1, Math.ceil((callers * codeBits + globalBits) / 32));
    this.codeMask = 2 ** codeBits - 1;
    this.globalMask = 2 ** globalBits - 1;
  }

  pack(codes: Int32Array, globals: number, words: Uint32Array, at: number): void {
    const { callers, codeBits, globalBits } = this;
    let word = 0;
    let filled = 0;
    let to = at;
    for (let i = 0; i < callers; i++) {
      const code = codes[i] ?? 0;
      word |= code << filled;
      filled += codeBits;
      if (filled < 32) continue;
      words[to++] = word;
      filled -= 32;
      word = filled === 0 ? 0 : code >>> (codeBits - filled);
    }
    word |= globals << filled;
    filled += globalBits;
    if (filled >= 32) {
      words[to++] = word;
      filled -= 32;
      word = filled === 0 ? 0 : globals >>> (globalBits - filled);
    }
    if (filled > 0) words[to] = word;
  }

  /** Write the codes to `codes`, and return the counters and sessions. */
  unpack(words: Uint32Array, at: number, codes: Int32Array): number {
    const { callers, codeBits, codeMask, globalBits, globalMask } = this;
    let from = at;
    let word = words[from++] ?? 0;
    let taken = 0;
    for (let i = 0; i < callers; i++) {
      let code = word >>> taken;
      taken += codeBits;
      if (taken >= 32) {
        taken -= 32;
        word = words[from++] ?? 0;
        if (taken > 0) code |= word << (codeBits - taken);
      }
      codes[i] = code & codeMask;
    }
    let globals = word >>> taken;
    taken += globalBits;
    if (taken > 32) globals |= (words[from] ?? 0) << (globalBits - taken + 32);
    return globals & globalMask;
  }

  /** The lowest bits of a caller's code, selected by `mask`. */
  low(words: Uint32Array, at: number, caller: number, mask: number): number {
    const bit = caller * this.codeBits;
    const from = at + (bit >>> 5);
    const shift = bit & 31;
    let code = (words[from] ?? 0) >>> shift;
    if (shift > 0) code |= (words[from + 1] ?? 0) << (32 - shift);
    return code & mask;
  }
}

/** Bits for a number from 0 to `most`. */
export function bitsFor(most: number): number {
  return most === 0 ? 0 : 32 - Math.clz32(most);
}
