/**
 * Writes protobuf messages: the wire format's varints, fixed 64-bit numbers, strings, and messages within messages.
 * Source: the encoding chapter of Protocol Buffers' documentation.
 */
export class ProtobufWriter {
  private bytes = new Uint8Array(256);
  private length = 0;

  /** @param value an integer, 0..2^53-1. */
  varint(field: number, value: number): this {
    this.raw(field * 8);
    this.raw(value);
    return this;
  }

  /** @param value an integer, 0..2^53-1. */
  fixed64(field: number, value: number): this {
    this.raw(field * 8 + 1);
    const at = this.grow(8);
    const view = new DataView(this.bytes.buffer);
    view.setUint32(at, value >>> 0, true);
    view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
    return this;
  }

  string(field: number, value: string): this {
    return this.put(field, new TextEncoder().encode(value));
  }

  message(field: number, write: (inner: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter();
    write(inner);
    return this.put(field, inner.finish());
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  private put(field: number, bytes: Uint8Array): this {
    this.raw(field * 8 + 2);
    this.raw(bytes.length);
    const at = this.grow(bytes.length);
    this.bytes.set(bytes, at);
    return this;
  }

  private raw(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.grow(1)] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.bytes[this.grow(1)] = rest;
  }

  /** Room for so many bytes more. @returns where it begins. */
  private grow(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    return at;
  }
}
