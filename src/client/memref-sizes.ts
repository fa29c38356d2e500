/** The sizes that the trusted application returned, for outputs that are shorter. */
const claimed = new WeakMap<object, readonly (number | undefined)[]>();

/**
 * The size of each memory reference of a successful call, in bytes, as the trusted application set it. It can exceed
 * the buffer (TEE Client API, section 4.5.3); the output then has the size of the buffer.
 * @param outputs the result of `Session.invoke`. The entry is undefined for an input and for a parameter that is not a
 *   memory reference.
 */
export function memrefSizes(outputs: readonly unknown[]): readonly (number | undefined)[] {
  return claimed.get(outputs) ?? outputs.map((output) => (output instanceof Uint8Array ? output.length : undefined));
}

/** Store the returned sizes of these outputs. */
export function claimSizes(outputs: readonly unknown[], sizes: readonly (number | undefined)[]): void {
  claimed.set(outputs, sizes);
}
