import { describe, expect, it } from 'vitest';
import { rulerOf } from '../../viewer/src/canvas/ticks.js';
import { Viewport } from '../../viewer/src/canvas/viewport.js';

function ruler(start: number, step: number, shift = 0) {
  const viewport = new Viewport();
  viewport.setWidth(1000);
  viewport.setAxis(1e9, 1e-6);
  viewport.showRange(start, start + step * 1000);
  return rulerOf(viewport, 'time', shift, 'time');
}

describe('the ruler of the timeline', () => {
  it.each([
    [0, 1],
    [6041, 0.0001],
    [151_000, 0.01],
    [151_000.123456, 1e-5],
    [0.5, 1e-6],
    [12_000.1, 0.001],
    [3, 100],
  ])('has unique labels, from %d ms at %d ms per pixel', (start, step) => {
    const { ticks } = ruler(start, step);
    expect(ticks.length).toBeGreaterThan(3);
    expect(new Set(ticks.map(({ label }) => label)).size).toBe(ticks.length);
    for (const { label } of ticks) expect(label.length).toBeLessThanOrEqual(12);
  });

  it("uses the board's clock in a trace of a board", () => {
    const { ticks, from } = ruler(0, 0.00001, 12_000.1);
    expect(from).toMatch(/^12\.0001\d* s$/);
    expect(ticks[1]?.label).toMatch(/^\+[\d.]+ µs$/);
    expect(ruler(0, 1, 12_000).ticks[0]?.label).toBe('12.0 s');
  });
});
