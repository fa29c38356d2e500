import { formatTime } from '../duration.js';
import type { ClientResult } from '../scenario-result.js';
import { wrapped } from './lines.js';

const heads = ['max', 'p99', 'p50'] as const;

/**
 * The clients of a run: one row each if the terminal is wide enough, otherwise a few lines each. The worst time comes
 * first.
 */
export function clientTable(clients: readonly ClientResult[], width: number): string[] {
  const names = Math.max(6, ...clients.map(({ name }) => name.length));
  const columns = heads.map((head) => decimals(clients.map((client) => client[head])));
  const row = (name: string, calls: string, times: readonly string[]) =>
    [name.padEnd(names), calls.padStart(7), ...times].join('  ');
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length), 5));
  const padded = (cells: readonly (string | undefined)[]) =>
    cells.map((cell = '', column) => cell.padStart(widths[column] ?? 0));
  const rows = clients.map(({ name, calls }, index) =>
    row(name, String(calls), padded(columns.map((cells) => cells[index]))),
  );
  const head = row('client', 'calls', padded(heads));
  if ([head, ...rows].some((text) => text.trimEnd().length > width))
    return clients.flatMap((client) => stacked(client, width));
  return [
    head.trimEnd(),
    ...clients.flatMap((client, index) => {
      const figures = rows[index] ?? '';
      const words = remarks(client).join(', ');
      if (words === '') return [figures.trimEnd()];
      const one = `${figures}  ${words}`;
      return one.length <= width
        ? [one]
        : [figures.trimEnd(), ...wrapped(words, width - 4).map((line) => `    ${line}`)];
    }),
  ];
}

/** Counts of a client that deserve a remark. */
function remarks({ unanswered, inFlight, late, failed }: ClientResult): string[] {
  const counts = { unanswered: unanswered - inFlight, 'in flight': inFlight, late, failed };
  return Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : []));
}

function stacked(client: ClientResult, width: number): string[] {
  const times = heads.flatMap((head) => {
    const ms = client[head];
    return ms === null ? [] : [`${head} ${formatTime(ms)}`];
  });
  const text = [`${client.calls} calls`, ...times, ...remarks(client)].join(', ');
  return [client.name, ...wrapped(text, width - 2).map((line) => `  ${line}`)];
}

/** Times in a column, aligned at their decimal points. */
function decimals(times: readonly (number | null)[]): string[] {
  const parts = times.map((ms) => {
    if (ms === null) return { whole: '-', fraction: '', unit: '' };
    const [number = '', unit = ''] = formatTime(ms).split(' ');
    const [whole = '', fraction] = number.split('.');
    return { whole, fraction: fraction === undefined ? '' : `.${fraction}`, unit };
  });
  const most = Math.max(0, ...parts.map(({ fraction }) => fraction.length));
  return parts.map(({ whole, fraction, unit }) => `${whole}${fraction.padEnd(most)} ${unit.padEnd(2)}`);
}
