/**
 * Refuse options that would not be read.
 * @param read their names, as commander has them.
 * @throws RangeError naming one that is given and not read.
 */
export function refuseOthers(options: object, read: ReadonlySet<string>, why: string): void {
  const other = Object.entries(options).find(([name, value]) => !read.has(name) && !isDefault(name, value))?.[0];
  if (other === undefined) return;
  const flag = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new RangeError(`--${flag} ${why}`);
}

/** What --no-sockets and --no-supplicant switch off is on when nobody said anything. */
function isDefault(name: string, value: unknown): boolean {
  return (name === 'sockets' || name === 'supplicant') && value === true;
}
