import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes, equalWords } from '../../src/client/equal-bytes.js';

describe('comparing bytes', () => {
  it.each([
    ['as Node does it', equalBytes],
    ['word by word', equalWords],
  ])('%s sees each byte that differs, at any alignment', (_how, equal) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 70 }),
        fc.nat(7),
        fc.nat(7),
        fc.option(fc.nat()),
        (bytes, left, right, changed) => {
          const one = new Uint8Array(bytes.length + left).subarray(left);
          const other = new Uint8Array(bytes.length + right).subarray(right);
          one.set(bytes);
          other.set(bytes);
          expect(equal(one, other)).toBe(true);
          if (changed === null || bytes.length === 0) return;
          const at = changed % bytes.length;
          other[at] = (other[at] ?? 0) ^ 0x80;
          expect(equal(one, other)).toBe(false);
          expect(equal(one, other.subarray(0, at))).toBe(false);
        },
      ),
    );
  });
});
