/**
 * Check a make variable. @returns the assignment. @throws RangeError if it is not an assignment, or is unsafe to pass
 * to make.
 */
export function parseMakeVariable(text: string): string {
  if (/^[A-Za-z_][\w.-]*=[^\0\n$`]*$/.test(text)) return text;
  throw new RangeError(`"${text}" is not an assignment of a make variable: expected NAME=value`);
}
