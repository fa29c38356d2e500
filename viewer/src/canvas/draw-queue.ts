import { CallState } from '../../../src/trace/index.js';
import { lowerBound } from '../run/bounds.js';
import type { Lane } from '../run/run.js';
import type { Pen } from './draw-bars.js';
import type { Scene } from './scene.js';

/** Draws the number of calls that sleep in the queue, as a step chart. */
export function drawQueue({ context, colours }: Pen, lane: Lane, y: number, height: number, scene: Scene): void {
  const { viewport, axis, shown } = scene;
  const { asleep } = lane.run;
  if (!shown.has(CallState.queue) || asleep.most === 0) return;
  const tall = height - 8;
  const bottom = y + height - 3;
  context.fillStyle = colours.states[CallState.queue] ?? colours.muted;
  context.globalAlpha = 0.85;
  let x = 0;
  let from = asleep.firstAfter(lane.run.recordAt(viewport.position(0), axis));
  const end = Math.min(viewport.width, viewport.x(lane.run.extent(axis)));
  while (x < end) {
    const to = asleep.firstAfter(lane.run.recordAt(viewport.position(x + 1), axis));
    const before = asleep.values[from - 1] ?? 0;
    const most = to > from ? Math.max(before, asleep.largest(from, to)) : before;
    // The value is constant until the next change.
    const next = asleep.records[to];
    const until = next === undefined ? end : Math.max(x + 1, Math.floor(viewport.x(lane.run.position(next, axis))));
    const first = (most / asleep.most) * tall;
    context.fillRect(x, bottom - first, 1, first);
    if (until > x + 1) {
      const rest = ((asleep.values[to - 1] ?? 0) / asleep.most) * tall;
      context.fillRect(x + 1, bottom - rest, Math.min(until, end) - x - 1, rest);
    }
    x = Math.max(until, x + 1);
    from = to;
  }
  context.globalAlpha = 1;
}

/** Draws a dot for each console line, fault and mark. */
export function drawNotes({ context, colours }: Pen, lane: Lane, y: number, height: number, scene: Scene): void {
  const { viewport, axis } = scene;
  const { run } = lane;
  const { notes } = run.timeline;
  const found = scene.matches.get(run)?.notes;
  let last = -10;
  for (let index = lowerBound(notes, run.recordAt(viewport.start, axis)); index < notes.length; index++) {
    const record = notes[index] ?? 0;
    const x = viewport.x(run.position(record, axis));
    if (x > viewport.width) break;
    if (x - last < 2) continue;
    last = x;
    const type = run.table.eventsAt(record)[0]?.type;
    const bad = type === 'simulated-fault' || type === 'protocol-violation' || type === 'ta-panic';
    context.fillStyle = bad ? colours.bad : colours.muted;
    context.globalAlpha = found !== undefined && !found.includes(record) ? 0.2 : 1;
    context.beginPath();
    context.arc(x, y + height / 2, 3.5, 0, Math.PI * 2);
    context.fill();
  }
  context.globalAlpha = 1;
}
