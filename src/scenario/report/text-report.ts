import { formatTime } from '../duration.js';
import type { ClientResult, Outcome, RunResult, ScenarioResult } from '../scenario-result.js';
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
  const notes = `${pictureLegend}. Percentiles by nearest rank. Seed ${result.seed}.`;
  lines.push('', ...wrapped(notes, width).map((line) => paint(line, 'dim')));
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
    ...run.explanation.flatMap((sentence) => explained(sentence, width - indent.length).map((line) => indent + line)),
    '',
    ...clientTable(run.clients, width - indent.length).map((line) => indent + line),
    '',
    ...threadPicture(run, width - indent.length).map((line) => indent + line),
  ];
}

function clientTable(clients: readonly ClientResult[], width: number): string[] {
  const names = Math.max(6, ...clients.map(({ name }) => name.length));
  const time = (ms: number | null) => (ms === null ? '-' : formatTime(ms)).padStart(9);
  const rows = ({ name, calls, p50, p99, max, unanswered, late, failed }: ClientResult) => {
    const remarks = [
      ...(unanswered > 0 ? [`${unanswered} unanswered`] : []),
      ...(late > 0 ? [`${late} late`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
    ].join(', ');
    const figures = `${name.padEnd(names)} ${String(calls).padStart(7)} ${time(p50)} ${time(p99)} ${time(max)}`;
    if (remarks === '') return [figures];
    const row = `${figures}  ${remarks}`;
    return row.length <= width ? [row] : [figures, remarks.padStart(width)];
  };
  const head = `${'client'.padEnd(names)} ${'calls'.padStart(7)} ${['p50', 'p99', 'max'].map((name) => name.padStart(9)).join(' ')}`;
  return [head, ...clients.flatMap(rows)];
}

function comparison(runs: readonly RunResult[], paint: Paint): string {
  return runs.map(({ queue, outcome }) => `${queue} ${paint(outcome, outcomeColours[outcome])}`).join(' · ');
}

/** A sentence in lines; one that belongs to the sentence before it is indented further. */
function explained(sentence: string, width: number): string[] {
  const text = sentence.trimStart();
  const further = ' '.repeat(sentence.length - text.length);
  return wrapped(text, width - further.length, '  ').map((line) => further + line);
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
