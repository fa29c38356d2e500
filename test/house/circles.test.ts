import { describe, expect, it } from 'vitest';
import { circles, importsBetweenFoldersIn } from './circles.js';

describe('circles of imports', () => {
  it('are found at any length, each once, and also for a file that imports itself', () => {
    const imports = new Map([
      ['a', ['b']],
      ['b', ['c', 'x']],
      ['c', ['a']],
      ['x', ['y']],
      ['y', []],
      ['z', ['z']],
    ]);
    expect(circles(imports)).toEqual([['a', 'b', 'c'], ['z']]);
  });

  it('are not reported for two paths to the same file', () => {
    expect(
      circles(
        new Map([
          ['a', ['b', 'c']],
          ['b', ['d']],
          ['c', ['d']],
          ['d', ['node:fs']],
        ]),
      ),
    ).toEqual([]);
  });

  it('are found between folders even if no files form one', () => {
    const files = [
      { path: 'room/left/one.ts', imports: ['room/right/one.ts'] },
      { path: 'room/right/one.ts', imports: [] },
      { path: 'room/right/deep/two.ts', imports: ['room/left/two.ts'] },
      { path: 'room/left/two.ts', imports: [] },
      { path: 'room/beside.ts', imports: ['room/left/one.ts'] },
    ];
    expect(circles(importsBetweenFoldersIn('room', files))).toEqual([['left', 'right']]);
    expect(circles(importsBetweenFoldersIn('', files))).toEqual([]);
  });
});
