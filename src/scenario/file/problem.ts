/** Where in a scenario file: the keys and indices that lead there. */
export type FieldPath = readonly (string | number)[];

/** Something wrong in a scenario file, and what is allowed there. */
export interface Problem {
  readonly path: FieldPath;
  readonly message: string;
}
