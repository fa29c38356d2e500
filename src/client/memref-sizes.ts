/** Of outputs that are shorter than the trusted application said. */
const claimed = new WeakMap<object, readonly (number | undefined)[]>();

/**
 * The size of each memory reference of a call that succeeded, in bytes, as the trusted application set it. It can be more
 * than there was room for (TEE Client API, section 4.5.3): then the output holds as much as there was room for.
 * @param outputs what `Session.invoke` gave; undefined stands for what is no memory reference or an input.
 */
export function memrefSizes(outputs: readonly unknown[]): readonly (number | undefined)[] {
  return claimed.get(outputs) ?? outputs.map((output) => (output instanceof Uint8Array ? output.length : undefined));
}

/** Remember what was claimed of these outputs. */
export function claimSizes(outputs: readonly unknown[], sizes: readonly (number | undefined)[]): void {
  claimed.set(outputs, sizes);
}
