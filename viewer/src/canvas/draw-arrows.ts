import { lowerBoundBy } from '../run/bounds.js';
import type { Lane, Run } from '../run/run.js';
import type { Colours } from './colours.js';
import type { LaneMiddle } from './draw-waits.js';
import type { Scene } from './scene.js';

/**
 * With more arrows than this on the screen, only those of the chosen call are drawn. From `boldArrows` on, arrows are
 * drawn transparent.
 */
const mostArrows = 400;
const boldArrows = 40;

interface Arrow {
  /** The records at which it begins and ends. */
  readonly from: number;
  readonly to: number;
  readonly source: Lane | undefined;
  readonly target: Lane | undefined;
  /**
   * An unused wake-up went to a call that was awake: `swallowed` if another call slept at that time, else `harmless`.
   */
  readonly kind: 'wake' | 'swallowed' | 'harmless' | 'notification';
  /** It begins or ends at the chosen call. */
  readonly mine: boolean;
}

/**
 * Draws wake-ups as arrows from the call that gave them to the call that got them, and notifications as arrows from
 * sender to receiver.
 */
export function drawArrows(
  context: CanvasRenderingContext2D,
  colours: Colours,
  scene: Scene,
  middle: LaneMiddle,
  height: number,
): void {
  const { viewport, axis, chosen } = scene;
  for (const run of scene.runs) {
    const first = run.recordAt(viewport.start, axis);
    const last = run.recordAt(viewport.end, axis);
    const arrows = [...wakeArrows(run, scene, first, last), ...notificationArrows(run, scene, first, last)];
    for (const { from, to, source, target, kind, mine } of arrows) {
      if (source === undefined || target === undefined || (arrows.length > mostArrows && !mine)) continue;
      const y0 = middle(source);
      const y1 = middle(target);
      if (Math.max(y0, y1) < 0 || Math.min(y0, y1) > height) continue;
      const x0 = viewport.x(run.position(from, axis));
      const x1 = viewport.x(run.position(to, axis));
      const dim = chosen !== undefined && chosen.run === run && !mine;
      context.globalAlpha = mine ? 1 : dim ? 0.12 : Math.min(1, Math.max(0.15, boldArrows / arrows.length));
      context.strokeStyle = context.fillStyle = kind === 'swallowed' ? colours.bad : colours[kind];
      context.lineWidth = mine ? 2.25 : 1.5;
      const unused = kind === 'swallowed' || kind === 'harmless';
      if (kind === 'harmless' && !mine) context.globalAlpha *= 0.4;
      context.setLineDash(unused ? [4, 3] : []);
      const bend = Math.min(36, 10 + Math.abs(y1 - y0) / 5);
      context.beginPath();
      context.moveTo(x0, y0);
      context.bezierCurveTo(x0 + bend, y0, x1 + bend, y1, x1 + 2, y1);
      context.stroke();
      context.setLineDash([]);
      context.beginPath();
      if (kind === 'swallowed') {
        context.moveTo(x1 - 3, y1 - 4);
        context.lineTo(x1 + 5, y1 + 4);
        context.moveTo(x1 + 5, y1 - 4);
        context.lineTo(x1 - 3, y1 + 4);
        context.stroke();
      } else {
        context.moveTo(x1, y1);
        context.lineTo(x1 + 7, y1 - 4);
        context.lineTo(x1 + 7, y1 + 4);
        context.fill();
      }
    }
  }
  context.globalAlpha = 1;
}

function wakeArrows(run: Run, { chosen }: Scene, first: number, last: number): Arrow[] {
  const { wakeUps } = run.timeline;
  const from = lowerBoundBy(wakeUps, ({ record }) => record, first);
  const to = lowerBoundBy(wakeUps, ({ record }) => record, last + 1);
  const arrows: Arrow[] = [];
  for (let index = from; index < to; index++) {
    const wake = wakeUps[index];
    if (wake === undefined || wake.by < 0) continue;
    const mine = chosen?.run === run && (chosen.call === wake.call || chosen.call === wake.by);
    if (to - from > mostArrows && !mine) continue;
    const { record } = wake;
    const kind = !wake.unused ? 'wake' : run.swallowedWakeUps.has(record) ? 'swallowed' : 'harmless';
    arrows.push({ from: record, to: record, source: laneOf(run, wake.by), target: laneOf(run, wake.call), kind, mine });
  }
  return arrows;
}

function notificationArrows(run: Run, { chosen }: Scene, first: number, last: number): Arrow[] {
  const { notifications } = run.timeline;
  const from = lowerBoundBy(notifications, ({ answeredRecord }) => answeredRecord, first);
  const arrows: Arrow[] = [];
  for (let index = from; index < notifications.length; index++) {
    const each = notifications[index];
    // Sorted by the record of the answer: a notification that begins after the screen may be followed by one that
    // begins before.
    if (each === undefined || each.answeredRecord > last + mostArrows) break;
    if (each.sentRecord > last) continue;
    const mine = chosen?.run === run && (chosen.call === each.call || chosen.call === each.by);
    if (index - from > mostArrows && !mine) continue;
    const source = each.by < 0 ? run.lanes.find(({ kind }) => kind === 'notes') : laneOf(run, each.by);
    const { sentRecord, answeredRecord } = each;
    const target = laneOf(run, each.call);
    arrows.push({ from: sentRecord, to: answeredRecord, source, target, kind: 'notification', mine });
  }
  return arrows;
}

function laneOf(run: Run, call: number): Lane | undefined {
  return run.lanes[run.laneOfCall[call] ?? 0];
}
