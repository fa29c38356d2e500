import { CallState } from '../../../src/trace/index.js';
import type { Run } from '../run/run.js';
import { stateNames } from '../run/words.js';
import { element } from './element.js';

export const legend = [CallState.secure, CallState.rpc, CallState.queue, CallState.door] as const;
const variables = ['secure', 'rpc', 'queue', 'door'] as const;

/** The legend of colours and marks, with controls that show and hide states. */
export function makeLegend(
  root: HTMLElement,
  runs: readonly Run[],
  changed: (state: number, visible: boolean) => void,
): void {
  legend.forEach((state, index) => {
    const box = element('input', { type: 'checkbox', checked: '' }) as HTMLInputElement;
    const chip = element('i', { 'aria-hidden': 'true', class: variables[index] ?? '' });
    root.append(element('label', {}, box, chip, stateNames[state]));
    box.addEventListener('change', () => changed(state, box.checked));
  });
  const mark = (name: string, words: string) =>
    root.append(element('span', { class: 'mark' }, element('i', { 'aria-hidden': 'true', class: name }), words));
  if (runs.some(({ timeline }) => timeline.threadLimits.length > 0)) mark('refused', 'ETHREAD_LIMIT');
  const hasSystem = ({ timeline }: Run) => {
    for (let call = 0; call < timeline.callCount; call++) if (timeline.callSystem.at(call) === 1) return true;
    return false;
  };
  if (runs.some(hasSystem)) mark('system', 'system call');
  if (runs.some(({ lateCalls }) => lateCalls.length > 0)) mark('late', 'late');
}
