import type { LineCounts } from './line-coverage.js';

/** Coverage in lcov's format (geninfo(1)). */
export function lcovText(counts: LineCounts): string {
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, lines]) => {
      const sorted = [...lines].sort(([a], [b]) => a - b);
      return [
        'TN:',
        `SF:${file}`,
        ...sorted.map(([line, hits]) => `DA:${line},${hits}`),
        `LF:${sorted.length}`,
        `LH:${sorted.filter(([, hits]) => hits > 0).length}`,
        'end_of_record\n',
      ].join('\n');
    })
    .join('');
}

/** Add counts from a file in lcov's format, of another run or of other code. Only lines are read. */
export function addLcov(text: string, counts: LineCounts): void {
  let lines: Map<number, number> | undefined;
  for (const row of text.split('\n')) {
    const file = /^SF:(.*?)\r?$/.exec(row)?.[1];
    if (file !== undefined) {
      lines = counts.get(file) ?? new Map();
      counts.set(file, lines);
    }
    const [, line, hits] = /^DA:(\d+),(\d+)/.exec(row) ?? [];
    if (line !== undefined && hits !== undefined)
      lines?.set(Number(line), (lines.get(Number(line)) ?? 0) + Number(hits));
  }
}
