/** The path of a field in a scenario file: keys and indices from the root. */
export type FieldPath = readonly (string | number)[];

/** A problem in a scenario file, with the allowed values. */
export interface Problem {
  readonly path: FieldPath;
  readonly message: string;
}

/** Maximum number of names in a message, because there may be as many messages as names. */
const mostNamed = 30;

/** Available names as text, for a message. */
export function list(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const told = names.slice(0, mostNamed).join(', ');
  return names.length > mostNamed ? `${told} and ${names.length - mostNamed} more` : told;
}
