import type { SeedsResult } from '../run-seeds.js';
import { OUTCOMES } from '../scenario-result.js';
import { painter, wrapped } from './lines.js';
import { type Layout, outcomeColours, outcomeWord } from './text-report.js';

/** The results over many seeds: a table of outcomes, with the first seed of each. */
export function seedsReport({ title, from, to, seeds, queues }: SeedsResult, { width, colour }: Layout): string {
  const paint = painter(colour);
  const shown = OUTCOMES.filter((outcome) => queues.some(({ outcomes }) => outcomes[outcome].count > 0));
  const names = Math.max(5, ...queues.map(({ queue }) => queue.length));
  const cells = queues.map(({ outcomes }) =>
    shown.map((outcome) => {
      const { count, firstSeed } = outcomes[outcome];
      return firstSeed === null ? '-' : `${count} (seed ${firstSeed})`;
    }),
  );
  const widths = shown.map((outcome, column) =>
    Math.max(outcome.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const ended = seeds < to - from + 1 ? `, ended after ${seeds} of them` : '';
  const lines = [
    ...wrapped(title, width).map((line) => paint(line, 'bold')),
    `Seeds ${from} to ${to}${ended}; count and first seed of each outcome:`,
    '',
  ];
  if (names + widths.reduce((sum, each) => sum + each + 2, 0) > width) {
    for (const [index, { queue }] of queues.entries()) {
      lines.push(queue);
      shown.forEach((outcome, column) => {
        const cell = cells[index]?.[column] ?? '-';
        if (cell !== '-') lines.push(`  ${paint(outcomeWord(outcome), outcomeColours[outcome])} ${cell}`);
      });
    }
    return lines.join('\n');
  }
  const head = shown.map((outcome, column) => outcomeWord(outcome).padEnd(widths[column] ?? 0));
  lines.push(['queue'.padEnd(names), ...head].join('  ').trimEnd());
  queues.forEach(({ queue }, index) => {
    const row = shown.map((outcome, column) => {
      const cell = cells[index]?.[column] ?? '-';
      const padding = ' '.repeat((widths[column] ?? 0) - cell.length);
      return (cell === '-' ? cell : paint(cell, outcomeColours[outcome])) + padding;
    });
    lines.push([queue.padEnd(names), ...row].join('  ').trimEnd());
  });
  return lines.join('\n');
}
