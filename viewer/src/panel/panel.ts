import {
  CallState,
  deadlockWords,
  holdsThread,
  type Segment,
  systemSessionsAfter,
  type WaitGraph,
  waitWords,
} from '../../../src/trace/index.js';
import { lowerBound } from '../run/bounds.js';
import type { Run } from '../run/run.js';
import { doing, purpose, sentence } from '../run/words.js';
import { element } from './element.js';
import { verdictPanel } from './story-panel.js';

/** The state of a run right after a record: threads, queue, counters. */
export function statePanel(run: Run, open: readonly Segment[], graph: WaitGraph, step: number): HTMLElement {
  const { timeline, table } = run;
  const { record } = graph;
  const name = run.table.subject.queue ?? run.name;
  const section = element('section', { class: 'state' }, element('h2', {}, name), ...verdictPanel(run));
  if (record < 0) {
    section.append(element('p', { class: 'event' }, 'Nothing has happened yet.'));
    return section;
  }
  const time = table.time(record);
  const events = table.eventsAt(record).map(sentence).join('; ');
  section.append(
    element(
      'div',
      { class: 'now' },
      `${run.placeWords(time - run.base, 'time', step)} · event ${record + 1} of ${table.length}`,
    ),
    element('div', { class: 'event' }, events),
  );
  section.append(...deadlockList(run, graph));
  const row = (state: number, ...children: (Node | string)[]) => {
    const chip = element('i', { 'aria-hidden': 'true' });
    chip.style.background = `var(--${stateVariables[state as keyof typeof stateVariables]})`;
    return element('li', {}, chip, element('div', {}, ...children));
  };
  const holders = open.filter((segment) => holdsThread(timeline, segment));
  const threads = element('ul', {});
  for (let thread = 0; thread < timeline.threads; thread++) {
    const segment = holders.find(({ call }) => timeline.callThread.at(call) === thread);
    threads.append(
      segment === undefined
        ? row(CallState.door, `${thread} `, element('span', {}, 'free'))
        : row(
            segment.state,
            `${thread} ${timeline.clientOf(segment.call)} `,
            element('span', {}, `${doing(segment)}, ${run.took(time - segment.start)}`),
          ),
    );
  }
  section.append(element('h3', {}, 'Threads of secure world'), threads);
  const asleep = open.filter(({ state }) => state === CallState.queue).sort((a, b) => a.startRecord - b.startRecord);
  const queue = element('ol', {});
  for (const segment of asleep.slice(0, 30)) {
    const system = timeline.callSystem.at(segment.call) === 1 ? [element('span', { class: 'badge' }, 'system')] : [];
    queue.append(
      row(
        CallState.queue,
        `${timeline.clientOf(segment.call)} `,
        element('span', {}, `#${timeline.callNumber.at(segment.call)}, ${run.took(time - segment.start)} `),
        ...system,
      ),
    );
  }
  if (asleep.length > 30) queue.append(element('li', {}, `and ${asleep.length - 30} more`));
  const beside = asleep.filter(({ call }) => graph.waits.get(call)?.kind === 'wake-up').length;
  if (asleep.length === 0) queue.append(element('li', {}, element('span', {}, 'none')));
  section.append(
    element('h3', {}, `Asleep in the queue: ${asleep.length}`),
    queue,
    ...(asleep.length > 0 && holders.length >= timeline.threads && holders.every(({ state }) => state === CallState.rpc)
      ? [element('div', { class: 'event' }, 'Every thread is held by a call whose RPC has not been answered.')]
      : []),
    ...(beside === 0
      ? []
      : [element('div', { class: 'bad' }, `${beside} asleep although a thread is free, with no wake-up pending`)]),
    ...kernelVariables(run, record),
    counters(run, record, open.length, holders.length),
  );
  return section;
}

/** The variables of the queue after a step of a schedule: see `recordSchedule`. */
function kernelVariables({ isSchedule, timeline, table }: Run, record: number): HTMLElement[] {
  if (!isSchedule) return [];
  const before = timeline.notes[lowerBound(timeline.notes, record + 1) - 1];
  const text = before === undefined ? '' : table.text(before);
  const [, variables] = /^variables: (.*)$/.exec(text) ?? [];
  if (variables === undefined) return [];
  const rows = variables.split('; ').map((each) => {
    const [name = '', ...value] = each.split(' ');
    return element('tr', {}, element('th', { scope: 'row' }, name), element('td', {}, value.join(' ')));
  });
  return [
    element('div', {}, element('h3', {}, 'Variables of the queue'), element('table', { class: 'variables' }, ...rows)),
  ];
}

const stateVariables = {
  [CallState.door]: 'door',
  [CallState.queue]: 'queue',
  [CallState.secure]: 'secure',
  [CallState.rpc]: 'rpc',
} as const;

function counters(run: Run, record: number, open: number, inFlight: number): HTMLElement {
  const { timeline } = run;
  const upTo = (records: readonly number[]) => lowerBound(records, record + 1);
  const table = element('table', {});
  const row = (name: string, value: number, bad = false) =>
    table.append(
      element(
        'tr',
        {},
        element('th', { scope: 'row' }, name),
        element('td', bad && value > 0 ? { class: 'bad' } : {}, String(value)),
      ),
    );
  row('Open calls', open);
  row('Holding a thread', inFlight);
  row('System sessions', systemSessionsAfter(timeline, record));
  row('ETHREAD_LIMIT so far', upTo(timeline.threadLimits), true);
  const swallowed = [...run.swallowedWakeUps].filter((each) => each <= record).length;
  row('Unused wake-ups so far', upTo(run.unusedWakeUps));
  row('... while another call slept', swallowed, true);
  const box = element('div', {}, element('h3', {}, 'Counters'), table);
  return box;
}

/** What each call of a deadlock waits for; empty if there is no deadlock. */
function deadlockList({ timeline }: Run, graph: WaitGraph): HTMLElement[] {
  const sentences = deadlockWords(timeline, graph);
  if (sentences.length === 0) return [];
  const list = element('ol', { class: 'deadlock' });
  sentences.forEach((words, index) => {
    const number = index < graph.cycle.length ? String(index + 1) : '';
    list.append(element('li', {}, element('b', { 'aria-hidden': 'true' }, number), element('div', {}, words)));
  });
  return [element('h3', { class: 'bad' }, 'Deadlock: none of these calls can continue'), list];
}

/** The history of a call. */
export function callPanel(run: Run, call: number, graph: WaitGraph | undefined): HTMLElement {
  const { timeline } = run;
  const wait = graph?.waits.get(call);
  const session = timeline.callSession.at(call);
  const uuid = timeline.sessionUuid.get(session);
  const thread = timeline.callThread.at(call);
  const unfinished = timeline.isUnfinished(call);
  const list = element('ol', {});
  let count = 0;
  for (const segment of timeline.segmentsOf(call)) {
    if (++count > 60) continue;
    const chip = element('i', { 'aria-hidden': 'true' });
    chip.style.background = `var(--${stateVariables[segment.state as keyof typeof stateVariables]})`;
    const ends = segment.endRecord > run.table.length ? ', to the end' : '';
    list.append(
      element(
        'li',
        {},
        chip,
        element(
          'div',
          {},
          `${doing(segment)} `,
          element('span', {}, `${run.took(segment.end - segment.start)}${ends}`),
        ),
      ),
    );
  }
  if (count > 60) list.append(element('li', {}, `and ${count - 60} more`));
  const wakes = timeline.wakeUps.filter((wake) => wake.call === call || wake.by === call);
  const wakeList = element('ul', {});
  for (const wake of wakes.slice(0, 12)) {
    const other = wake.call === call ? wake.by : wake.call;
    const name = other < 0 ? 'an unknown call' : `${timeline.clientOf(other)} #${timeline.callNumber.at(other)}`;
    const way = wake.call === call ? 'from' : 'to';
    wakeList.append(
      element(
        'li',
        wake.unused ? { class: 'bad' } : {},
        `${way} ${name}${wake.unused ? ', but it was not asleep' : ''}`,
      ),
    );
  }
  return element(
    'section',
    {},
    element('h2', {}, `Call #${timeline.callNumber.at(call)} of ${timeline.clientOf(call)}`),
    element('div', {}, purpose(run, call), timeline.callSystem.at(call) === 1 ? ', system' : ''),
    ...(uuid === undefined ? [] : [element('div', { class: 'event' }, uuid)]),
    element(
      'div',
      unfinished ? { class: 'bad' } : {},
      `${run.took(timeline.callEnd.at(call) - timeline.callBegin.at(call))}${unfinished ? ', not ended' : ''}`,
    ),
    element(
      'div',
      { class: 'event' },
      thread < 0
        ? 'it never held a thread'
        : `thread ${thread}${timeline.callThreadKnown.at(call) === 1 ? '' : ' (inferred)'}`,
    ),
    ...(wait === undefined ? [] : [element('h3', {}, 'At the cursor'), element('div', {}, waitWords(timeline, wait))]),
    element('h3', {}, 'History'),
    list,
    ...(wakes.length === 0 ? [] : [element('h3', {}, 'Wake-ups'), wakeList]),
  );
}
