import { env, stdout } from 'node:process';
import { explained, wrapped } from '../../scenario/report/lines.js';

/** Narrower lines are not wrapped. Columns. */
const narrowest = 20;

/**
 * Width of the output in columns: COLUMNS if it is set, else the terminal's width. Output to a pipe or file is not
 * wrapped.
 */
export function outputWidth(): number {
  const set = Number(env.COLUMNS);
  const columns = Number.isInteger(set) && set > 0 ? set : (stdout.columns ?? 0);
  return columns > 0 ? Math.max(columns, narrowest) : Number.POSITIVE_INFINITY;
}

/** Print a report, wrapped to the width of the output. */
export function printReport(text: string | Iterable<string>): void {
  const width = outputWidth();
  const lines = typeof text === 'string' ? text.split('\n') : text;
  for (const line of lines) for (const part of line.split('\n')) console.log(folded(part, width).join('\n'));
}

/** Lines with commands for the shell. */
const command = /^\s*(?:again|look at it): /;

/** Wrap a line. Text in a column after a label continues in that column; commands are not wrapped. */
export function folded(line: string, width: number): string[] {
  if (line.length <= width || command.test(line)) return [line];
  const column = /^\s*\S.*?\s{2,}(?=\S)/.exec(line)?.[0].length ?? 0;
  if (column === 0 || column > width / 2) return explained(line, width);
  const [first = '', ...rest] = wrapped(line.slice(column), width - column);
  return [line.slice(0, column) + first, ...rest.map((part) => ' '.repeat(column) + part)];
}

/**
 * A table whose last column is text. If it is too wide, the text is wrapped in its column; if that leaves too little
 * room, each row is printed as several lines that begin with the text.
 */
export function reportTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string[] {
  if (rows.length === 0) return [];
  const all = [head, ...rows];
  const last = head.length - 1;
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const before = widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0);
  const longest = widths[last] ?? 0;
  if (before + Math.min(longest, narrowest) > width)
    return rows.flatMap((row) => {
      const figures = row.slice(0, last).map((cell, column) => `${head[column]} ${cell}`);
      return [...explained(row[last] ?? '', width), ...explained(`    ${figures.join(', ')}`, width)];
    });
  return all.flatMap((row) => {
    const figures = row.slice(0, last).map((cell, column) => `${cell.padStart(widths[column] ?? 0)}  `);
    const [words = '', ...more] = wrapped(row[last] ?? '', width - before);
    return [figures.join('') + words, ...more.map((part) => ' '.repeat(before) + part)];
  });
}
