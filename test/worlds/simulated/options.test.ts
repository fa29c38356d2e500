import { expect, it } from 'vitest';
import { SimulatedWorld } from '../../../src/worlds/simulated/index.js';

it.each([-1, 0, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1025, 2 ** 31, 2 ** 53])(
  'a world of %d threads is refused before one of them is made',
  (threads) => {
    expect(() => new SimulatedWorld({ threads })).toThrow(`threads is ${threads}, allowed are integers 1..1024`);
  },
);

it.each([-1, 0.5, Number.NaN, 2 ** 32, 2 ** 53])('a world cannot announce %d threads in a register', (count) => {
  expect(() => new SimulatedWorld({ announcedThreads: count })).toThrow(
    `announcedThreads is ${count}, allowed are integers 0..4294967295, and false`,
  );
});

it.each([7, '7', {}])('a world refuses memory that is %j', (range) => {
  for (const name of ['dram', 'reservedShm'])
    expect(() => new SimulatedWorld({ [name]: range })).toThrow(/^memory is .*, allowed are \{ base/);
});
