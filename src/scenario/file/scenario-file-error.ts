/** A problem with its line and column in the file, both counted from 1. */
export interface LocatedProblem {
  readonly line: number;
  readonly column: number;
  /** The field: `clients.storage.count`; empty for the file as a whole. */
  readonly field: string;
  readonly message: string;
}

/** Maximum number of problems in a message, and of characters per problem. */
const mostTold = 30;
const longestProblem = 1000;

/**
 * The file is not a valid scenario. The message has one line per problem: `file:line:column: field: what is allowed`.
 */
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
