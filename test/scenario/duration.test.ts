import { describe, expect, it } from 'vitest';
import { drawTime, formatTime, parseDuration, parseTime } from '../../src/scenario/duration.js';

describe('a time', () => {
  it.each<[unknown, number | undefined]>([
    ['250us', 0.25],
    ['10ms', 10],
    ['1.5s', 1500],
    ['2 min', 120_000],
    ['1440min', 86_400_000],
    [0, 0],
    ['0ms', 0],
    ['1us', 0.001],
    ['0.0001us', undefined],
    ['0.00000000000000000001us', undefined],
    ['1441min', undefined],
    ['10', undefined],
    [10, undefined],
    ['-1ms', undefined],
    ['1e3ms', undefined],
    ['ms', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j is %j ms', (text, ms) => {
    expect(parseTime(text)).toBe(ms);
  });

  it('may be a range, the smaller first', () => {
    expect(parseDuration('1ms..2s')).toEqual({ min: 1, max: 2000 });
    expect(parseDuration('5ms')).toEqual({ min: 5, max: 5 });
    for (const text of ['2s..1ms', '1ms..', '..1ms', '1ms..2ms..3ms', '1..2ms'])
      expect(parseDuration(text)).toBeUndefined();
  });

  it('is drawn from its whole range and not beyond', () => {
    expect([0, 0.5, 0.999_999_999].map((random) => drawTime({ min: 1, max: 3 }, () => random))).toEqual([1, 2, 3]);
  });

  it.each([
    [0, '0'],
    [0.0005, '0.5 us'],
    [0.25, '250 us'],
    [0.9999, '1 ms'],
    [1.234, '1.23 ms'],
    [12.34, '12.3 ms'],
    [123.4, '123 ms'],
    [999.7, '1 s'],
    [3050, '3.05 s'],
    [120_000, '120 s'],
  ])('%d ms reads %s', (ms, text) => {
    expect(formatTime(ms)).toBe(text);
  });
});
