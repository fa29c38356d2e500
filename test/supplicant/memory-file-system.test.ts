import { describe, expect, it } from 'vitest';
import { openTee, startSupplicant, TeeResult } from '../../src/index.js';
import { MemoryFileSystem } from '../../src/testing.js';

const noSpace = expect.objectContaining({ code: TeeResult.ERROR_STORAGE_NO_SPACE });
const page = (of: number) => new Uint8Array(4096).fill(of);

describe('files in memory', () => {
  it('share a limited size, and a write that does not fit changes nothing', () => {
    const files = new MemoryFileSystem({ capacity: 3 * 4096 });
    const a = files.create('a');
    a.write(0, page(1));
    const b = files.create('b');
    b.write(0, page(2));
    expect(() => b.write(4096, new Uint8Array(8192))).toThrow(noSpace);
    expect(b.read(0, new Uint8Array(10_000))).toBe(4096);
    b.write(4096, page(3));
    expect(() => a.write(4096, page(1))).toThrow(noSpace);
    // Over what it has already, it is written.
    a.write(0, page(9));
    const back = new Uint8Array(4096);
    a.read(0, back);
    expect(back).toEqual(page(9));
  });

  it('release their memory when they are truncated, emptied, replaced by a rename, or removed and closed', () => {
    const files = new MemoryFileSystem({ capacity: 4096 });
    const fits = (name: string) => {
      const file = files.create(name);
      file.write(0, page(7));
      return file;
    };
    const a = fits('a');
    a.truncate(0);
    a.write(0, page(7));
    fits('a').close();
    files.remove('a');
    // It is open still.
    expect(() => fits('e')).toThrow(noSpace);
    a.close();
    a.close();
    fits('b').close();
    files.create('c').close();
    files.rename('c', 'b', true);
    fits('d').close();
  });

  it('read as zeros where they were never written, also after truncation and extension', () => {
    const file = new MemoryFileSystem().create('a');
    file.write(5000, Uint8Array.of(1, 2, 3));
    const all = new Uint8Array(6000).fill(0xff);
    expect(file.read(0, all)).toBe(5003);
    expect([...all.subarray(4998, 5003)]).toEqual([0, 0, 1, 2, 3]);
    file.truncate(5001);
    file.truncate(9000);
    expect(file.read(4999, all)).toBe(4001);
    expect([...all.subarray(0, 5)]).toEqual([0, 1, 0, 0, 0]);
    expect(file.read(9000, all)).toBe(0);
    expect(file.read(2 ** 40, all)).toBe(0);
  });

  it('belong to one TEE at a time', async () => {
    const fileSystem = new MemoryFileSystem();
    await using one = await openTee({ supplicant: { fileSystem } });
    await using two = await openTee({ supplicant: false });
    expect(() => startSupplicant(two, { fileSystem })).toThrow(/another TEE of this process uses it/);
    await one.close();
    startSupplicant(two, { fileSystem });
  });
});
