import type { Hit } from '../canvas/scene.js';
import type { Axis, Lane } from '../run/run.js';
import { doing, purpose, sentence } from '../run/words.js';
import { element } from './element.js';

/**
 * The lines of the tooltip at a position of a lane; empty for no tooltip.
 * @param step what a pixel stands for, in milliseconds or events.
 */
export function tooltipLines(
  { run, kind }: Lane,
  position: number,
  hit: Hit | undefined,
  axis: Axis,
  step: number,
): Node[] | undefined {
  if (kind === 'queue') {
    const count = run.asleep.at(run.recordAt(position, axis));
    return [element('b', {}, `${count} asleep in the queue`)];
  }
  if (kind === 'notes') {
    const near = run.timeline.notes.find((record) => Math.abs(run.position(record, axis) - position) < step * 5);
    return near === undefined ? undefined : run.table.eventsAt(near).map((event) => element('b', {}, sentence(event)));
  }
  if (hit === undefined) return undefined;
  const { timeline } = run;
  const segment = timeline.segment(hit.segment);
  return [
    element('b', {}, `${timeline.clientOf(hit.call)} · #${timeline.callNumber.at(hit.call)}`),
    element('div', {}, `${doing(segment)}, ${run.took(segment.end - segment.start)}`),
    element('span', {}, `${purpose(run, hit.call)}, from ${run.placeWords(segment.start - run.base, 'time', step)}`),
  ];
}
