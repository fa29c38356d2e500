import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import { formatTime } from '../duration.js';
import type { Outcome, RunResult, ScenarioResult } from '../scenario-result.js';
import { clientTable } from './client-table.js';
import { type Escape, explained, type Paint, painter, wrapped } from './lines.js';
import { pictureLegend, threadPicture } from './thread-picture.js';

/** Options for the terminal. */
export interface Layout {
  /** Columns; at least 40 are used. */
  readonly width: number;
  readonly colour: boolean;
}

const layoutNames: OptionNames<Layout> = { width: true, colour: true };
const narrowest = 40;
/** Maximum width of prose in columns, for readability. */
const longestProse = 110;
const indent = '  ';

export const outcomeColours: Readonly<Record<Outcome, Escape>> = {
  finished: 'green',
  deadlock: 'red',
  stuck: 'red',
  starved: 'yellow',
  'cut-off': 'magenta',
};

/** `DEADLOCK`, `CUT OFF`. */
export const outcomeWord = (outcome: Outcome) => outcome.replace('-', ' ').toUpperCase();

/** The time of an outcome: `closed at 21.1 ms`. */
export function outcomeWhen({ outcome, duration, hangsSince }: RunResult): string {
  const since = hangsSince === null ? '' : formatTime(hangsSince);
  switch (outcome) {
    case 'deadlock':
      return `closed at ${since}, ended at ${formatTime(duration)}`;
    case 'stuck':
    case 'starved':
      return `${since === '' ? '' : `since ${since}, `}ended at ${formatTime(duration)}`;
    case 'finished':
      return `after ${formatTime(duration)}`;
    case 'cut-off':
      return `at ${formatTime(duration)}, the limit`;
    default:
      return outcome satisfies never;
  }
}

/** The results of a scenario as text for a terminal: the outcomes first, then the reasons. */
export function textReport(result: ScenarioResult, layout: Layout): string {
  requireKnownOptions('textReport', layout, layoutNames);
  const width = Math.max(layout.width, narrowest);
  const prose = Math.min(width, longestProse);
  const paint = painter(layout.colour);
  const { runs } = result;
  const lines = wrapped(result.title, prose).map((line) => paint(line, 'bold'));
  // YAML joins the lines of a folded paragraph, so the remaining line ends are intended.
  if (result.about !== '')
    lines.push(
      ...result.about
        .trimEnd()
        .split('\n')
        .flatMap((line) => explained(line, prose)),
    );
  if (runs.length > 1) lines.push('', ...comparison(runs, width, paint));
  runs.forEach((run, index) => {
    const same = runs.slice(0, index).find((other) => isSame(run, other));
    lines.push('');
    if (same === undefined) lines.push(...runBlock(run, width, paint));
    else lines.push(`${heading(run, paint)}, as ${same.queue}`);
  });
  lines.push('', ...wrapped(notes(result), prose).map((line) => paint(line, 'dim')));
  return lines.join('\n');
}

const notes = ({ seed }: ScenarioResult) => `${pictureLegend}. Percentiles by nearest rank. Seed ${seed}.`;

/** Whether two disciplines have the same results. */
function isSame(run: RunResult, other: RunResult): boolean {
  const seen = ({ queue: _, systemSessions: __, swallowedWakeUps: ___, ...all }: RunResult) => JSON.stringify(all);
  return seen(run) === seen(other);
}

const heading = ({ queue, outcome }: RunResult, paint: Paint) =>
  `${paint(`── ${queue}`, 'bold')}: ${paint(outcomeWord(outcome), outcomeColours[outcome], 'bold')}`;

function runBlock(run: RunResult, width: number, paint: Paint): string[] {
  const prose = Math.min(width, longestProse) - indent.length;
  const room = width - indent.length;
  const blocks = [
    run.explanation.flatMap((sentence) => explained(sentence, prose)),
    clientTable(run.clients, room),
    threadPicture(run, room, paint),
  ];
  const head = heading(run, paint);
  const when = outcomeWhen(run);
  const plain = `── ${run.queue}: ${outcomeWord(run.outcome)} ${when}`.length;
  return [
    ...(plain <= width ? [`${head} ${when}`] : [head, indent + when]),
    ...blocks
      .filter((block) => block.length > 0)
      .flatMap((block, index) => [...(index === 0 ? [] : ['']), ...block.map((line) => indent + line)]),
  ];
}

/** One line per discipline. */
function comparison(runs: readonly RunResult[], width: number, paint: Paint): string[] {
  const names = Math.max(...runs.map(({ queue }) => queue.length));
  const words = Math.max(...runs.map(({ outcome }) => outcome.length));
  return runs.flatMap((run) => {
    const { queue, outcome } = run;
    const word = outcomeWord(outcome);
    const when = run.hangsSince === null ? outcomeWhen(run) : outcomeWhen(run).replace(/, ended at.*$/, '');
    const begin = `${queue.padEnd(names)}  ${paint(word, outcomeColours[outcome], 'bold')}`;
    return names + words + when.length + 4 <= width
      ? [`${begin}${' '.repeat(words - word.length)}  ${when}`]
      : [begin, indent + when];
  });
}
