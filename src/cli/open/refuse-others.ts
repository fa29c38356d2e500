/**
 * Refuse options that would be ignored.
 * @param read names of the options that are used, in commander's spelling.
 * @throws RangeError naming an option that is given and not used.
 */
export function refuseOthers(options: object, read: ReadonlySet<string>, why: string): void {
  const other = Object.entries(options).find(([name, value]) => !read.has(name) && !isDefault(name, value))?.[0];
  if (other === undefined) return;
  const flag = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new RangeError(`--${flag} ${why}`);
}

/** Options that `--no-sockets` and `--no-supplicant` negate are true by default. */
function isDefault(name: string, value: unknown): boolean {
  return (name === 'sockets' || name === 'supplicant') && value === true;
}
