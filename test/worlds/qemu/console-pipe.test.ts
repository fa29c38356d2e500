import { writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ConsolePipe } from '../../../src/worlds/qemu/console-pipe.js';

it('a console pipe keeps written data until it is read, in pieces of any size', () => {
  using pipe = new ConsolePipe();
  expect(pipe.read()).toBe('');
  const text = 'Grüße aus der sicheren Welt\n'.repeat(5000);
  const bytes = Buffer.from(text);
  // In the middle of a character, and more than one read takes.
  const cut = bytes.indexOf('ü') + 1;
  writeSync(pipe.fd, bytes.subarray(0, cut));
  expect(pipe.read()).toBe('Gr');
  writeSync(pipe.fd, bytes.subarray(cut));
  expect(pipe.read()).toBe(text.slice(2));
  expect(pipe.read()).toBe('');
});
