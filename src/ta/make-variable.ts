/** @returns the assignment. @throws RangeError when it is none that make can be given safely. */
export function parseMakeVariable(text: string): string {
  if (/^[A-Za-z_][\w.-]*=[^\0\n$`]*$/.test(text)) return text;
  throw new RangeError(`"${text}" is not an assignment of a make variable: expected NAME=value`);
}
