/** Initial size of the buffer, in octets. */
const firstSize = 1 << 16;
/**
 * The length of a nested message precedes it, but is known only at its end: one octet is reserved. A message of more
 * than 127 octets is moved to make room.
 */
const lengthSize = 1;
/** Shorter texts are copied octet by octet, which is faster. */
const longText = 64;
/** Number of cached encoded texts: a trace has few different texts, each many times. */
const textsKept = 4096;

/**
 * Writes protobuf messages into one buffer: varints, fixed 64-bit numbers, strings, and nested messages. Source: the
 * encoding chapter of the Protocol Buffers documentation.
 */
export class ProtobufWriter {
  private bytes = new Uint8Array(firstSize);
  private at = 0;
  private readonly encoder = new TextEncoder();
  private readonly texts = new Map<string, Uint8Array>();

  /** Number of octets since the last `take`. */
  get length(): number {
    return this.at;
  }

  /** @param value an integer, 0..2^53-1. */
  varint(field: number, value: number): void {
    this.room(20);
    this.raw(field * 8);
    this.raw(value);
  }

  /** @param value an integer, 0..2^53-1. */
  fixed64(field: number, value: number): void {
    this.room(18);
    this.raw(field * 8 + 1);
    const { bytes } = this;
    let rest = value;
    for (let octet = 0; octet < 8; octet++) {
      bytes[this.at++] = rest % 256;
      rest = Math.floor(rest / 256);
    }
  }

  string(field: number, value: string): void {
    const text = this.textBytes(value);
    const { length } = text;
    this.room(20 + length);
    this.raw(field * 8 + 2);
    this.raw(length);
    const { bytes, at } = this;
    if (length < longText) for (let index = 0; index < length; index++) bytes[at + index] = text[index] ?? 0;
    else bytes.set(text, at);
    this.at = at + length;
  }

  /** Begin a nested message. @returns the argument for `end`. */
  begin(field: number): number {
    this.room(10 + lengthSize);
    this.raw(field * 8 + 2);
    this.at += lengthSize;
    return this.at;
  }

  end(start: number): void {
    const size = this.at - start;
    if (size < 0x80) {
      this.bytes[start - lengthSize] = size;
      return;
    }
    const more = size < 0x4000 ? 1 : size < 0x20_0000 ? 2 : size < 0x1000_0000 ? 3 : 4;
    this.room(more);
    this.bytes.copyWithin(start + more, start, this.at);
    this.at = start - lengthSize;
    this.raw(size);
    this.at += size;
  }

  /** Return the written octets and start anew. */
  take(): Uint8Array {
    const taken = this.bytes.slice(0, this.at);
    this.at = 0;
    return taken;
  }

  private textBytes(text: string): Uint8Array {
    let bytes = this.texts.get(text);
    if (bytes !== undefined) return bytes;
    bytes = this.encoder.encode(text);
    if (this.texts.size >= textsKept) this.texts.clear();
    this.texts.set(text, bytes);
    return bytes;
  }

  private raw(value: number): void {
    const { bytes } = this;
    let { at } = this;
    let rest = value;
    if (rest >= 0x8000_0000) {
      // The lower 28 bits are four octets; the bitwise operators take only 32 bits.
      const low = rest % 0x1000_0000;
      for (let shift = 0; shift < 28; shift += 7) bytes[at++] = ((low >>> shift) & 0x7f) | 0x80;
      rest = (rest - low) / 0x1000_0000;
    }
    while (rest >= 0x80) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  private room(size: number): void {
    if (this.at + size <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.at + size, this.bytes.length * 2));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}
