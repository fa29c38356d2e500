/** The number of an invocation as bytes. An application writes it to mark a place in shared memory. */
export function numberBytes(invocation: number): Uint8Array {
  return Uint8Array.of(invocation & 0xff, (invocation >>> 8) & 0xff, (invocation >>> 16) & 0xff, invocation >>> 24);
}

/** In memory of at least this many bytes, concurrent calls do not share a place. */
export const leastNumbered = 1024;

export function numberOffset(invocation: number, size: number): number {
  return 4 * ((invocation * 1031) % Math.floor(size / 4));
}
