import { describe, expect, it } from 'vitest';
import { inOrder } from '../../src/cli/optee/in-order.js';

describe('runs that are made a few at a time', () => {
  it('give their results in order, and no more than that are under way', async () => {
    let inside = 0;
    let most = 0;
    const run = (turns: number) => async () => {
      most = Math.max(most, ++inside);
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      inside--;
      return turns;
    };
    const results: number[] = [];
    for await (const result of inOrder([9, 1, 5, 0, 3].map(run), 2)) results.push(result);
    expect([results, most]).toEqual([[9, 1, 5, 0, 3], 2]);
  });

  it('end with the first error, when those that have begun are over', async () => {
    const events: string[] = [];
    const run = (name: string, fails: boolean) => async () => {
      events.push(`${name} begins`);
      await new Promise(setImmediate);
      if (fails) throw new Error(`${name} failed`);
      await new Promise(setImmediate);
      events.push(`${name} ends`);
    };
    const all = async () => {
      for await (const _ of inOrder([run('one', true), run('two', false), run('three', false)], 2));
    };
    await expect(all()).rejects.toThrow('one failed');
    expect(events).toEqual(['one begins', 'two begins', 'two ends']);
  });
});
