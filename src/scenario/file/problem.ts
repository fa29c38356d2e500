/** Where in a scenario file: the keys and indices that lead there. */
export type FieldPath = readonly (string | number)[];

/** Something wrong in a scenario file, and what is allowed there. */
export interface Problem {
  readonly path: FieldPath;
  readonly message: string;
}

/** A message tells so many names: there may be as many messages as names. */
const mostNamed = 30;

/** What there is, for a message. */
export function list(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const told = names.slice(0, mostNamed).join(', ');
  return names.length > mostNamed ? `${told} and ${names.length - mostNamed} more` : told;
}
