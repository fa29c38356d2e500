import { expect, it } from 'vitest';
import { FileLengthError, readUpTo, readWhole } from '../../src/files/read-whole.js';

it('a file of the kernel, whose length is 0 until it is read, is read as far as it may be long', async () => {
  expect((await readUpTo('/proc/self/status', 2 ** 16)).toString()).toContain('VmRSS');
  await expect(readUpTo('/proc/self/status', 10)).rejects.toThrow(FileLengthError);
  await expect(readWhole('/proc/self/status', 10)).rejects.toThrow('/proc/self/status: it has more than 10 bytes');
});

it('a file of the kernel without an end is given up', async () => {
  await expect(readUpTo('/proc/self/pagemap', 2 ** 20)).rejects.toThrow(FileLengthError);
  await expect(readUpTo('/dev/zero', 2 ** 20)).rejects.toThrow(FileLengthError);
});
