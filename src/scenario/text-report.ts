import { formatTime } from './duration.js';
import type { Outcome } from './explanation.js';
import type { ClientResult, RunResult, ScenarioResult } from './run-scenario.js';
import { pictureLegend, threadPicture } from './thread-picture.js';

/** How a terminal is to be used. */
export interface Layout {
  /** Columns. */
  readonly width: number;
  readonly colour: boolean;
}

const indent = '  ';

const escapes = { bold: '1', red: '31', green: '32', yellow: '33', dim: '2' } as const;
type Escape = keyof typeof escapes;

const outcomeColours: Readonly<Record<Outcome, Escape>> = { finished: 'green', deadlock: 'red', starved: 'yellow' };

/** A scenario's results, for people to read in a terminal. */
export function textReport(result: ScenarioResult, layout: Layout): string {
  const { width } = layout;
  const paint = painter(layout.colour);
  const lines = [paint(result.title, 'bold')];
  if (result.about !== '') lines.push(...wrapped(result.about, width));
  for (const run of result.runs) {
    lines.push('', ...runBlock(run, width, paint));
  }
  lines.push(
    '',
    paint(`${indent}${pictureLegend}`, 'dim'),
    paint(`${indent}percentiles by nearest rank; seed ${result.seed}`, 'dim'),
  );
  if (result.runs.length > 1) lines.push('', comparison(result.runs, paint));
  return lines.join('\n');
}

type Paint = (text: string, ...how: Escape[]) => string;

function painter(colour: boolean): Paint {
  if (!colour) return (text) => text;
  return (text, ...how) => `\x1b[${how.map((name) => escapes[name]).join(';')}m${text}\x1b[0m`;
}

function runBlock(run: RunResult, width: number, paint: Paint): string[] {
  const { queue, outcome, duration } = run;
  const when = outcome === 'deadlock' ? `at ${formatTime(duration)}` : `after ${formatTime(duration)}`;
  return [
    `${paint(`── ${queue}`, 'bold')}: ${paint(outcome.toUpperCase(), outcomeColours[outcome], 'bold')} ${when}`,
    ...run.explanation.flatMap((sentence) =>
      wrapped(sentence, width - indent.length, '  ').map((line) => indent + line),
    ),
    '',
    ...clientTable(run.clients).map((line) => indent + line),
    '',
    ...threadPicture(run, width - indent.length).map((line) => indent + line),
  ];
}

function clientTable(clients: readonly ClientResult[]): string[] {
  const names = Math.max(6, ...clients.map(({ name }) => name.length));
  const time = (ms: number | null) => (ms === null ? '-' : formatTime(ms)).padStart(9);
  const row = ({ name, calls, p50, p99, max, unanswered, late, failed }: ClientResult) => {
    const remarks = [
      ...(unanswered > 0 ? [`${unanswered} unanswered`] : []),
      ...(late > 0 ? [`${late} late`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
    ].join(', ');
    return `${name.padEnd(names)} ${String(calls).padStart(7)} ${time(p50)} ${time(p99)} ${time(max)}  ${remarks}`.trimEnd();
  };
  const head = `${'client'.padEnd(names)} ${'calls'.padStart(7)} ${['p50', 'p99', 'max'].map((name) => name.padStart(9)).join(' ')}`;
  return [head, ...clients.map(row)];
}

function comparison(runs: readonly RunResult[], paint: Paint): string {
  return runs.map(({ queue, outcome }) => `${queue} ${paint(outcome, outcomeColours[outcome])}`).join(' · ');
}

/** A text in lines of that width, all but the first of them indented. */
function wrapped(text: string, width: number, hanging = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= width || line === '') line = longer;
    else {
      lines.push(line);
      line = hanging + word;
    }
  }
  return [...lines, line];
}
