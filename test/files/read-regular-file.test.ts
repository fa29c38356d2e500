import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { linePieces } from '../../src/files/line-pieces.js';
import { readRegularFile, readRegularFileSync } from '../../src/files/read-regular-file.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const readers = {
  readRegularFile,
  readRegularFileSync: async (path: string, most?: number) => readRegularFileSync(path, most),
};

describe.each(Object.entries(readers))('%s', (_, read) => {
  it('gives a file whole, also one whose length is not known before, or is 0', async () => {
    const content = Buffer.alloc(200_001, 'ab');
    writeFileSync(join(folder, 'file'), content);
    expect((await read(join(folder, 'file'))).equals(content)).toBe(true);
    writeFileSync(join(folder, 'empty'), '');
    expect(await read(join(folder, 'empty'))).toHaveLength(0);
    expect((await read('/proc/self/status')).toString()).toContain('VmRSS');
  });

  it('does not wait at a FIFO for a writer that does not come', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    await expect(read(join(folder, 'fifo'))).rejects.toThrow(`${join(folder, 'fifo')}: it is not a regular file`);
  });

  it('refuses a device without end, and a folder, by their name', async () => {
    symlinkSync('/dev/zero', join(folder, 'zero'));
    await expect(read(join(folder, 'zero'))).rejects.toThrow(/zero: it is not a regular file$/);
    mkdirSync(join(folder, 'within'));
    await expect(read(join(folder, 'within'))).rejects.toMatchObject({
      code: 'EISDIR',
      message: `${join(folder, 'within')}: it is a folder, not a file`,
    });
  });

  it('refuses a file that is longer than it may be, before it is read', async () => {
    writeFileSync(join(folder, 'hole'), '');
    truncateSync(join(folder, 'hole'), 2 ** 40);
    await expect(read(join(folder, 'hole'))).rejects.toThrow(`it has more than ${2 ** 28} bytes`);
    writeFileSync(join(folder, 'file'), 'four');
    expect(await read(join(folder, 'file'), 4)).toHaveLength(4);
    await expect(read(join(folder, 'file'), 3)).rejects.toMatchObject({ code: 'EFBIG' });
    // The length of a file in /proc is known only when it has been read.
    await expect(read('/proc/self/status', 10)).rejects.toMatchObject({ code: 'EFBIG' });
  });

  it('names what is not there', async () => {
    await expect(read(join(folder, 'absent'))).rejects.toMatchObject({
      code: 'ENOENT',
      message: expect.stringContaining('absent'),
    });
  });
});

describe('the pieces of lines', () => {
  async function* chunks(...texts: readonly (string | Uint8Array)[]) {
    for (const text of texts) yield Buffer.from(text);
  }
  const all = async (input: AsyncIterable<Uint8Array>, longest?: number) => {
    const pieces = [];
    for await (const piece of linePieces(input, longest)) pieces.push(piece);
    return pieces;
  };

  it('are whole lines, however the text comes, each with its own ending', async () => {
    const euro = Buffer.from('€');
    expect(await all(chunks('a\nb', 'c\r', '\n\n', euro.subarray(0, 1), euro.subarray(1), 'end'))).toEqual([
      { text: 'a', begins: true, ending: '\n' },
      { text: 'bc', begins: true, ending: '\r\n' },
      { text: '', begins: true, ending: '\n' },
      { text: '€end', begins: true, ending: '' },
    ]);
  });

  it('are parts of a line that is too long, and the next line begins anew', async () => {
    expect(await all(chunks('aaaa', 'aa', 'aaaaa', 'b\nc\n'), 4)).toEqual([
      { text: 'aaaaaa', begins: true, ending: '' },
      { text: 'aaaaa', begins: false, ending: '' },
      { text: 'b', begins: false, ending: '\n' },
      { text: 'c', begins: true, ending: '\n' },
    ]);
  });
});
