import { element } from '../../viewer/src/panel/element.js';
import { duration } from '../../viewer/src/run/short-time.js';
import { explanation } from './explanation.js';
import type { Counterexample, Step } from './messages.js';

/**
 * Shows a counterexample one event at a time, forwards and backwards: where each call is, which was woken, and the
 * queue's variables.
 */
export class Stepper {
  private found: Counterexample | undefined;
  private at = 0;

  constructor(
    private readonly root: HTMLElement,
    private readonly moved: (step: number) => void,
  ) {
    root.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, '[': -1, ']': 1 }[event.key];
      if (by === undefined || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      this.go(this.at + by);
    });
  }

  show(found: Counterexample | undefined, step: number): void {
    this.found = found;
    this.root.hidden = found === undefined;
    if (found !== undefined) this.go(step > 0 ? step : found.steps.length - 1);
  }

  private go(step: number): void {
    const { found, root } = this;
    if (found === undefined) return;
    const last = found.steps.length - 1;
    this.at = Math.max(0, Math.min(step, last));
    const now = found.steps[this.at];
    if (now === undefined) return;
    const focused = document.activeElement?.id ?? '';
    const button = (id: string, label: string, to: number) => {
      const made = element('button', { type: 'button', id, ...(to === this.at ? { disabled: '' } : {}) }, label);
      made.addEventListener('click', () => this.go(to));
      return made;
    };
    const slider = element('input', {
      type: 'range',
      id: 'step-slider',
      min: '0',
      max: String(last),
      value: String(this.at),
      'aria-label': 'Step',
    }) as HTMLInputElement;
    slider.addEventListener('input', () => this.go(Number(slider.value)));
    root.replaceChildren(
      element('h2', {}, `Counterexample: ${found.property}`),
      explanation(found.what, { class: 'what' }),
      element(
        'div',
        { class: 'steps' },
        button('step-first', 'First', 0),
        button('step-back', 'Back', Math.max(0, this.at - 1)),
        slider,
        button('step-on', 'Next', Math.min(last, this.at + 1)),
        button('step-last', 'Last', last),
      ),
      element(
        'p',
        { id: 'step-words', 'aria-live': 'polite' },
        element('strong', {}, `Step ${this.at + 1} of ${last + 1}, ${duration(now.time)}: `),
        now.event,
      ),
      picture(now),
    );
    if (focused.startsWith('step-')) document.getElementById(focused)?.focus();
    this.moved(this.at);
  }
}

function picture(step: Step): HTMLElement {
  const list = (title: string, items: readonly HTMLElement[], none: string) =>
    element(
      'section',
      {},
      element('h3', {}, title),
      items.length === 0 ? element('p', { class: 'none' }, none) : element('ol', {}, ...items),
    );
  const woken = new Set(step.woken);
  return element(
    'div',
    { class: 'picture' },
    list(
      'Asleep in the queue',
      step.asleep.map((name) => element('li', { class: 'asleep' }, name)),
      'none',
    ),
    ...(woken.size === 0
      ? []
      : [
          list(
            'Gets the wake-up',
            [...woken].map((name) => element('li', { class: 'woken' }, name)),
            '',
          ),
        ]),
    list(
      'Threads of secure world',
      step.threads.map((thread, number) =>
        thread === undefined
          ? element('li', { class: 'free' }, `${number}: free`)
          : element(
              'li',
              { class: thread.doing === 'in secure world' ? 'secure' : 'rpc' },
              `${number}: ${thread.call}, ${thread.doing}`,
            ),
      ),
      'none',
    ),
    ...step.lists.map(({ name, waiters }) =>
      list(
        `List ${name}`,
        waiters.map((waiter) => element('li', {}, waiter)),
        'empty',
      ),
    ),
    list(
      "The queue's counters",
      step.counters.map(({ name, value }) => element('li', {}, `${name} ${value}`)),
      'this queue has no counters',
    ),
  );
}
