/** What an application writes to show where it wrote: its invocation's number, in a place that few others have. */
export function numberBytes(invocation: number): Uint8Array {
  return Uint8Array.of(invocation & 0xff, (invocation >>> 8) & 0xff, (invocation >>> 16) & 0xff, invocation >>> 24);
}

/** Bytes of memory from which its places are not shared by calls of one moment. */
export const leastNumbered = 1024;

export function numberOffset(invocation: number, size: number): number {
  return 4 * ((invocation * 1031) % Math.floor(size / 4));
}
