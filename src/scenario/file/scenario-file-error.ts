/** A problem with the place in the file where it is, both counted from 1. */
export interface LocatedProblem {
  readonly line: number;
  readonly column: number;
  /** The field: `clients.storage.count`; empty for the file as a whole. */
  readonly field: string;
  readonly message: string;
}

/** Problems that a message tells one by one, and the most characters of each. */
const mostTold = 30;
const longestProblem = 1000;

/** The file is no scenario. The message has a line for each problem: `file:line:column: field: what is allowed`. */
export class ScenarioFileError extends Error {
  override readonly name = 'ScenarioFileError';

  constructor(
    file: string,
    readonly problems: readonly LocatedProblem[],
  ) {
    const told = problems
      .slice(0, mostTold)
      .map(({ line, column, field, message }) =>
        `${file}:${line}:${column}: ${field && `${field}: `}${message}`.slice(0, longestProblem),
      );
    const more = problems.length - told.length;
    super([...told, ...(more > 0 ? [`${file}: ${more} more problems`] : [])].join('\n'));
  }
}
