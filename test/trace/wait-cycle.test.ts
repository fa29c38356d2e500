import { describe, expect, it } from 'vitest';
import { knots } from '../../src/trace/index.js';

const found = (waits: Record<string, string>) =>
  knots(new Map(Object.entries(waits).map(([party, others]) => [party, [...others]]))).map((knot) =>
    [...knot].sort().join(''),
  );

describe('the knots of a wait graph', () => {
  it.each([
    [{}, []],
    [{ a: 'b' }, []],
    [{ a: 'b', b: 'a' }, ['ab']],
    // Who waits behind a knot is no part of it.
    [{ a: 'b', b: 'a', c: 'a', d: 'c' }, ['ab']],
    // Two of them, and one who waits for either.
    [{ a: 'b', b: 'a', c: 'd', d: 'c', e: 'ac' }, ['ab', 'cd']],
    // One of two must come: no deadlock while the other may.
    [{ a: 'bx', b: 'a' }, []],
    [{ a: 'bc', b: 'a', c: 'a' }, ['abc']],
    [{ a: 'b', b: 'c', c: 'a', d: 'abc', e: 'd' }, ['abc']],
    [{ a: 'a' }, ['a']],
  ])('of %j are %j', (waits, expected) => {
    expect(found(waits as Record<string, string>).sort()).toEqual(expected);
  });

  it('are found among twenty thousand', () => {
    const waits: [number, number[]][] = Array.from({ length: 20_000 }, (_, party) => [party, [party + 1]]);
    waits[19_999] = [19_999, [0]];
    expect(knots(new Map(waits)).map(({ length }) => length)).toEqual([20_000]);
  });
});
