/** Initial size of the buffer, in octets. */
const firstSize = 1 << 16;
/**
 * The length of a nested message precedes it, but is known only at its end: a varint of four octets, padded, is
 * reserved.
 */
const lengthSize = 4;
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
    this.room(20 + text.length);
    this.raw(field * 8 + 2);
    this.raw(text.length);
    this.bytes.set(text, this.at);
    this.at += text.length;
  }

  /** Begin a nested message. @returns the argument for `end`. */
  begin(field: number): number {
    this.room(10 + lengthSize);
    this.raw(field * 8 + 2);
    this.at += lengthSize;
    return this.at;
  }

  end(start: number): void {
    let size = this.at - start;
    for (let octet = 0; octet < lengthSize; octet++) {
      this.bytes[start - lengthSize + octet] = octet < lengthSize - 1 ? (size & 0x7f) | 0x80 : size & 0x7f;
      size >>>= 7;
    }
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
    let rest = value;
    while (rest >= 0x8000_0000) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.bytes[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.at++] = rest;
  }

  private room(size: number): void {
    if (this.at + size <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.at + size, this.bytes.length * 2));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}
