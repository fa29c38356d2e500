import { CallState } from '../../../src/trace/index.js';
import { callsPerSecond } from '../../../src/trace/timeline/calls-per-second.js';
import type { Axis, Run } from '../run/run.js';
import { askedFor } from '../run/words.js';
import { element } from './element.js';

/** The verdict stored in the trace, with its explanation; empty if there is none. */
export function verdictPanel(run: Run): HTMLElement[] {
  const { verdict } = run.table.subject;
  if (verdict === undefined || verdict.explanation.length === 0) return [];
  const list = element('ul', { class: 'why' });
  for (const sentence of verdict.explanation)
    list.append(element('li', sentence.startsWith(' ') ? { class: 'further' } : {}, sentence.trim()));
  const details = element(
    'details',
    verdict.outcome === 'finished' ? {} : { open: '' },
    element('summary', {}, `Why: ${run.verdictWords}`),
    list,
  );
  return [details];
}

/** The verdict on each run, for the head of the page. With several runs, each is a button that leads to its run. */
export function verdictChips(runs: readonly Run[], show: (run: Run) => void): HTMLElement[] {
  return runs.flatMap((run) => {
    const words = run.verdictWords;
    const verdict = words === '' ? [] : [element('strong', {}, words)];
    const outcome = run.table.subject.verdict?.outcome ?? '';
    if (runs.length === 1) return words === '' ? [] : [element('p', { class: `verdict ${outcome}` }, ...verdict)];
    const name = run.table.subject.queue ?? run.name;
    const title = `show ${name}`;
    const button = element('button', { type: 'button', class: `verdict ${outcome}`, title }, `${name} `, ...verdict);
    button.addEventListener('click', () => show(run));
    return [button];
  });
}

const mostWaits = 10;

/** The calls that slept longest in the queue, longest first. */
function longestWaits(run: Run): readonly { readonly call: number; readonly asleep: number }[] {
  const { timeline } = run;
  const asleep = new Float64Array(timeline.callCount);
  for (let segment = 0; segment < timeline.segmentCount; segment++) {
    if (timeline.segmentState.at(segment) !== CallState.queue) continue;
    const call = timeline.segmentCall.at(segment);
    asleep[call] = (asleep[call] ?? 0) + timeline.segmentEnd.at(segment) - timeline.segmentStart.at(segment);
  }
  const longest: { call: number; asleep: number }[] = [];
  for (let call = 0; call < asleep.length; call++) {
    const ms = asleep[call] ?? 0;
    if (ms === 0 || (longest.length === mostWaits && ms <= (longest.at(-1)?.asleep ?? 0))) continue;
    longest.push({ call, asleep: ms });
    longest.sort((one, other) => other.asleep - one.asleep);
    longest.length = Math.min(longest.length, mostWaits);
  }
  return longest;
}

/** The longest waits as a list of buttons, each of which chooses its call. */
export function longestWaitsPanel(run: Run, choose: (call: number) => void): HTMLElement | undefined {
  const waits = longestWaits(run);
  if (waits.length === 0) return undefined;
  const late = new Set(run.lateCalls);
  const list = element('ol', { class: 'waits' });
  for (const { call, asleep } of waits) {
    const words = `${run.took(asleep)} ${run.timeline.clientOf(call)} #${run.timeline.callNumber.at(call)}`;
    const button = element('button', { type: 'button' }, words);
    button.addEventListener('click', () => choose(call));
    const notes = [
      askedFor(run, call),
      ...(late.has(call) ? ['late'] : []),
      ...(run.timeline.isUnfinished(call) ? ['not returned'] : []),
    ];
    list.append(element('li', {}, button, element('span', {}, notes.join(', '))));
  }
  const title =
    run.lateCalls.length === 0 ? 'Longest in the queue' : `Longest in the queue; ${run.lateCalls.length} late`;
  return element('section', { class: 'story' }, element('h3', {}, title), list);
}

/** Statistics of a range of a run. */
export function selectionPanel(run: Run, from: number, to: number, axis: Axis, step: number): HTMLElement {
  const { timeline } = run;
  let begun = 0;
  let ended = 0;
  let asleep = 0;
  let longest = 0;
  for (let call = 0; call < timeline.callCount; call++) {
    const start = run.callStart(call, axis);
    if (start >= from && start < to) begun++;
    const end = run.callEnd(call, axis);
    if (!timeline.isUnfinished(call) && end >= from && end < to) ended++;
  }
  let held = 0;
  for (let segment = 0; segment < timeline.segmentCount; segment++) {
    const state = timeline.segmentState.at(segment);
    if (state === CallState.door) continue;
    const part = Math.min(to, run.end(segment, axis)) - Math.max(from, run.start(segment, axis));
    if (part <= 0) continue;
    if (state === CallState.queue) {
      asleep += part;
      longest = Math.max(longest, part);
    } else held += part;
  }
  const within = (records: readonly number[]) =>
    records.filter((record) => run.position(record, axis) >= from && run.position(record, axis) < to).length;
  const rows: readonly (readonly [string, string])[] = [
    ['From cursor to mark', run.spanWords(to - from, axis, step)],
    ['Calls begun, ended', `${begun}, ${ended}`],
    ...(axis === 'time'
      ? [['Calls ended a second', String(Math.round(callsPerSecond(ended, to - from)))] as const]
      : []),
    ['Threads in use', `${Math.round((100 * held) / Math.max(1e-9, (to - from) * timeline.threads))} %`],
    ['Asleep in the queue, all calls', run.spanWords(asleep, axis, step)],
    ['Longest of these', run.spanWords(longest, axis, step)],
    ['ETHREAD_LIMIT', String(within(timeline.threadLimits))],
    ['Unused wake-ups', String(within(run.unusedWakeUps))],
  ];
  const table = element(
    'table',
    {},
    ...rows.map(([name, value]) => element('tr', {}, element('th', { scope: 'row' }, name), element('td', {}, value))),
  );
  return element('section', { class: 'story' }, element('h2', {}, 'Between cursor and mark'), table);
}
