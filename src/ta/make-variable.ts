/** @returns the assignment. @throws RangeError when it is none that make can be given safely. */
export function parseMakeVariable(text: string): string {
  if (/^[A-Za-z_][\w.-]*=[^\0\n$`]*$/.test(text)) return text;
  throw new RangeError(`"${text}" is no assignment of a variable of make: wanted is NAME=value`);
}
