import { CallState } from '../../../src/trace/index.js';
import type { Run } from '../run/run.js';
import type { Matches } from '../run/search.js';
import { purpose } from '../run/words.js';
import { element } from './element.js';

const pageSize = 100;

/** The calls of a run as a table, a page at a time: for whoever reads rather than looks. */
export class CallTable {
  private page = 0;

  constructor(
    private readonly root: HTMLElement,
    private readonly choose: (run: Run, call: number) => void,
  ) {}

  show(run: Run, matches: Matches | undefined): void {
    const { timeline } = run;
    const count = matches?.calls.length ?? timeline.callCount;
    const pages = Math.max(1, Math.ceil(count / pageSize));
    this.page = Math.min(this.page, pages - 1);
    const columns = ['Call', 'Client', 'Purpose', 'Begins', 'Takes', 'Asleep', 'In RPCs', 'Thread', 'Outcome'];
    const head = element('tr', {}, ...columns.map((name) => element('th', { scope: 'col' }, name)));
    const body = element('tbody', {});
    for (let index = this.page * pageSize; index < Math.min(count, (this.page + 1) * pageSize); index++) {
      const call = matches?.calls[index] ?? index;
      let asleep = 0;
      let rpc = 0;
      for (const { state, start, end } of timeline.segmentsOf(call)) {
        if (state === CallState.queue) asleep += end - start;
        if (state === CallState.rpc) rpc += end - start;
      }
      const thread = timeline.callThread.at(call);
      const button = element('button', { type: 'button' }, `#${timeline.callNumber.at(call)}`);
      button.addEventListener('click', () => this.choose(run, call));
      const cells = [
        timeline.clientOf(call),
        purpose(run, call),
        run.took(Math.max(0, timeline.callBegin.at(call) - run.base)),
        run.took(timeline.callEnd.at(call) - timeline.callBegin.at(call)),
        run.took(asleep),
        run.took(rpc),
        thread < 0 ? 'none' : String(thread),
        timeline.isUnfinished(call) ? 'has not ended' : 'ended',
      ];
      body.append(element('tr', {}, element('td', {}, button), ...cells.map((cell) => element('td', {}, cell))));
    }
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
        `${run.title}: page ${this.page + 1} of ${pages}, ${count} calls`,
      ),
      element('table', {}, element('thead', {}, head), body),
    );
  }
}
