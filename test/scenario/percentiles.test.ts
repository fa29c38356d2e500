import { expect, it } from 'vitest';
import { latenciesOf } from '../../src/scenario/journal/percentiles.js';

it('percentiles are measured values (nearest rank)', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(latenciesOf(hundred)).toEqual({ p50: 50, p99: 99, max: 100 });
  expect(latenciesOf([...hundred, 1000])).toEqual({ p50: 51, p99: 100, max: 1000 });
  expect(latenciesOf([3, 1])).toEqual({ p50: 1, p99: 3, max: 3 });
});

it('percentiles without values are undefined', () => {
  expect(latenciesOf([])).toEqual({ p50: null, p99: null, max: null });
});
