import { CallState } from '../../../src/trace/index.js';
import type { Run } from '../run/run.js';
import type { Matches } from '../run/search.js';
import { purpose } from '../run/words.js';
import { element } from './element.js';

const pageSize = 100;

/**
 * Columns by which calls can be sorted, longest first. Without a sort column, calls are in order of their beginning.
 */
const times = ['Takes', 'Asleep', 'In RPCs'] as const;
type Time = (typeof times)[number];
const columns = ['Call', 'Client', 'Purpose', 'Begins', ...times, 'Thread', 'Outcome'] as const;

/** The times of all calls of a run, in milliseconds. */
type CallTimes = Readonly<Record<Time, Float64Array>>;

/** The calls of a run as a table with pages: an accessible alternative to the canvas. */
export class CallTable {
  private page = 0;
  private sortedBy: Time | undefined;
  private readonly timesOf = new WeakMap<Run, CallTimes>();

  constructor(
    private readonly root: HTMLElement,
    private readonly choose: (run: Run, call: number) => void,
  ) {}

  show(run: Run, matches: Matches | undefined): void {
    const spent = this.timesOf.get(run) ?? callTimes(run);
    this.timesOf.set(run, spent);
    const calls = this.order(
      matches?.calls ?? Array.from({ length: run.timeline.callCount }, (_, call) => call),
      spent,
    );
    const pages = Math.max(1, Math.ceil(calls.length / pageSize));
    this.page = Math.min(this.page, pages - 1);
    const body = element('tbody', {});
    for (const call of calls.slice(this.page * pageSize, (this.page + 1) * pageSize))
      body.append(this.row(run, call, spent));
    const turn = (by: number, label: string) => {
      const button = element('button', { type: 'button' }, label);
      if (this.page + by < 0 || this.page + by >= pages) button.setAttribute('disabled', '');
      button.addEventListener('click', () => {
        this.page += by;
        this.show(run, matches);
      });
      return button;
    };
    this.root.replaceChildren(
      element(
        'nav',
        { 'aria-label': 'Pages' },
        turn(-1, 'Earlier'),
        turn(1, 'Later'),
        `${run.title}: page ${this.page + 1} of ${pages}, ${calls.length} calls`,
      ),
      element('table', {}, element('thead', {}, this.head(run, matches)), body),
    );
  }

  private order(calls: ArrayLike<number>, spent: CallTimes): readonly number[] {
    const all = Array.from(calls);
    if (this.sortedBy === undefined) return all;
    const by = spent[this.sortedBy];
    return all.sort((one, other) => (by[other] ?? 0) - (by[one] ?? 0) || one - other);
  }

  private head(run: Run, matches: Matches | undefined): HTMLElement {
    const cells = columns.map((name) => {
      const time = times.find((each) => each === name);
      if (time === undefined) return element('th', { scope: 'col' }, name);
      const sorted = this.sortedBy === time;
      const button = element(
        'button',
        { type: 'button', class: 'sort', title: sorted ? 'In their own order' : 'The longest first' },
        name,
      );
      button.addEventListener('click', () => {
        this.sortedBy = sorted ? undefined : time;
        this.page = 0;
        this.show(run, matches);
        this.root.querySelectorAll<HTMLElement>('th button')[times.indexOf(time)]?.focus();
      });
      return element('th', { scope: 'col', 'aria-sort': sorted ? 'descending' : 'none' }, button, sorted ? ' ▼' : '');
    });
    return element('tr', {}, ...cells);
  }

  private row(run: Run, call: number, spent: CallTimes): HTMLElement {
    const { timeline } = run;
    const thread = timeline.callThread.at(call);
    const button = element('button', { type: 'button' }, `#${timeline.callNumber.at(call)}`);
    button.addEventListener('click', () => this.choose(run, call));
    const cells = [
      timeline.clientOf(call),
      purpose(run, call),
      run.took(Math.max(0, timeline.callBegin.at(call) - run.base)),
      ...times.map((time) => run.took(spent[time][call] ?? 0)),
      thread < 0 ? 'none' : String(thread),
      timeline.isUnfinished(call) ? 'has not ended' : 'ended',
    ];
    return element('tr', {}, element('td', {}, button), ...cells.map((cell) => element('td', {}, cell)));
  }
}

function callTimes({ timeline }: Run): CallTimes {
  const { callCount } = timeline;
  const spent = {
    Takes: new Float64Array(callCount),
    Asleep: new Float64Array(callCount),
    'In RPCs': new Float64Array(callCount),
  };
  for (let call = 0; call < callCount; call++) {
    spent.Takes[call] = timeline.callEnd.at(call) - timeline.callBegin.at(call);
    let [asleep, rpc] = [0, 0];
    for (const { state, start, end } of timeline.segmentsOf(call)) {
      if (state === CallState.queue) asleep += end - start;
      if (state === CallState.rpc) rpc += end - start;
    }
    spent.Asleep[call] = asleep;
    spent['In RPCs'][call] = rpc;
  }
  return spent;
}
