import { describe, expect, it } from 'vitest';
import { circles, importsBetweenFoldersIn } from './circles.js';

describe('circles of imports', () => {
  it('are found however long they are, each once, and a file that imports itself', () => {
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

  it('are none where two ways lead to one file', () => {
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

  it('are found between folders whose files are in none', () => {
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
