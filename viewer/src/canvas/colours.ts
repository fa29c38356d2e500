import { CallState } from '../../../src/trace/index.js';

/** The colours of the page, read from its style sheet. */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    background: of('background'),
    surface: of('surface'),
    line: of('line'),
    grid: of('grid'),
    text: of('text'),
    muted: of('muted'),
    accent: of('accent'),
    bad: of('bad'),
    deadlock: of('deadlock'),
    wake: of('wake'),
    notification: of('notification'),
    harmless: of('muted'),
    lane: of('lane'),
    selection: of('selection'),
    onBar: of('on-bar'),
    onRpc: of('on-rpc'),
    onQueue: of('on-queue'),
    hatch: of('hatch'),
    states: {
      [CallState.door]: of('door'),
      [CallState.queue]: of('queue'),
      [CallState.secure]: of('secure'),
      [CallState.rpc]: of('rpc'),
    } as Record<number, string>,
  };
}
export type Colours = ReturnType<typeof readColours>;
