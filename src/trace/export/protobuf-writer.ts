/** Room for the first bytes. */
const firstSize = 1 << 16;
/** A message's length stands ahead of it and is known behind it: a varint of four octets, filled up with zero bits. */
const lengthSize = 4;
/** Texts whose bytes are kept: a trace has few different ones, each many times. */
const textsKept = 4096;

/**
 * Writes protobuf messages into one buffer: the wire format's varints, fixed 64-bit numbers, strings, and messages within
 * messages. Source: the encoding chapter of Protocol Buffers' documentation.
 */
export class ProtobufWriter {
  private bytes = new Uint8Array(firstSize);
  private at = 0;
  private readonly encoder = new TextEncoder();
  private readonly texts = new Map<string, Uint8Array>();

  /** Octets written since they were last taken. */
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

  /** Begin a message within this one. @returns what `end` takes. */
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

  /** What was written; the writer begins anew. */
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
