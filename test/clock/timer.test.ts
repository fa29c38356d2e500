import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { machineClock, sleep } from '../../src/clock/clock.js';
import { startInterval, startTimer } from '../../src/clock/timer.js';
import { VirtualClock } from '../../src/clock/virtual-clock.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const day = 86_400_000;

test.each([2 ** 31 - 1, 2 ** 31, 2 ** 31 + 0.5, 30 * day, 2 ** 32 - 1, 5 * 2 ** 31])(
  'a timer of %d ms fires at its time, and once',
  (ms) => {
    const callback = vi.fn();
    startTimer(ms, callback);
    vi.advanceTimersByTime(Math.floor(ms) - 1);
    expect(callback).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2);
    expect(callback).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(60 * day);
    expect(callback).toHaveBeenCalledTimes(1);
  },
);

test('a timer of Infinity never fires, and no timer is set for it', () => {
  const callback = vi.fn();
  const cancel = startTimer(Number.POSITIVE_INFINITY, callback);
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(60 * day);
  cancel();
  expect(callback).not.toHaveBeenCalled();
});

test('a long timer is cancelled in its first stretch and in a later one', () => {
  const callback = vi.fn();
  const early = startTimer(2 ** 33, callback);
  const late = startTimer(2 ** 33, callback);
  early();
  vi.advanceTimersByTime(2 ** 32);
  late();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(2 ** 34);
  expect(callback).not.toHaveBeenCalled();
});

test.each([Number.NaN, -1, Number.NEGATIVE_INFINITY])('%d ms is refused by both clocks', (ms) => {
  expect(() => startTimer(ms, () => undefined)).toThrow(RangeError);
  expect(() => machineClock.setTimer(ms, () => undefined)).toThrow(RangeError);
  expect(() => new VirtualClock().setTimer(ms, () => undefined)).toThrow(RangeError);
});

test('an interval longer than a timer can be calls back each time, until it is ended from within', () => {
  let calls = 0;
  const end = startInterval(2 ** 31 + 10, () => {
    if (++calls === 3) end();
  });
  vi.advanceTimersByTime(2 ** 31 + 9);
  expect(calls).toBe(0);
  vi.advanceTimersByTime(4 * (2 ** 31 + 10));
  expect(calls).toBe(3);
  expect(vi.getTimerCount()).toBe(0);
});

test('a sleep of Infinity ends only by its signal, on both clocks', async () => {
  vi.useRealTimers();
  for (const clock of [machineClock, new VirtualClock()]) {
    const controller = new AbortController();
    const slept = sleep(clock, Number.POSITIVE_INFINITY, controller.signal);
    controller.abort();
    await slept;
  }
});

test('virtual time never reaches a timer of Infinity', async () => {
  const clock = new VirtualClock();
  const callback = vi.fn();
  vi.useRealTimers();
  clock.setTimer(Number.POSITIVE_INFINITY, callback);
  expect(await clock.run()).toBe('quiet');
  expect(clock.now()).toBe(0);
  expect(callback).not.toHaveBeenCalled();
});
