import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeAllocator } from '../../src/tee/range-allocator.js';

const page = 4096;

describe('allocation of physical memory', () => {
  it('never allocates a byte twice, stays in its ranges, and gets everything back', () => {
    const ranges = [
      { base: 0x1000, size: 16 * page },
      { base: 0x40000, size: 9 * page },
    ];
    fc.assert(
      fc.property(
        fc.array(fc.record({ size: fc.integer({ min: 0, max: 5 * page }), scattered: fc.boolean(), free: fc.nat() }), {
          maxLength: 60,
        }),
        (steps) => {
          const allocator = new RangeAllocator(ranges, page);
          const held: { base: number; size: number }[] = [];
          for (const { size, scattered, free } of steps) {
            if (held.length > 0 && free % 3 === 0) {
              const [gone] = held.splice(free % held.length, 1);
              if (gone !== undefined) allocator.release(gone.base);
              continue;
            }
            const pages = Math.max(1, Math.ceil(size / page));
            const got = scattered ? allocator.allocateScattered(pages) : allocator.allocate(size);
            if (got === undefined) continue;
            const blocks =
              typeof got === 'number' ? [{ base: got, size: pages * page }] : got.map((base) => ({ base, size: page }));
            for (const block of blocks) {
              expect(
                ranges.some((range) => block.base >= range.base && block.base + block.size <= range.base + range.size),
              ).toBe(true);
              expect(
                held.some((other) => block.base < other.base + other.size && other.base < block.base + block.size),
              ).toBe(false);
              held.push(block);
            }
            expect(allocator.bytesInUse).toBe(held.reduce((sum, block) => sum + block.size, 0));
          }
          for (const { base } of held) allocator.release(base);
          expect(allocator.bytesInUse).toBe(0);
          // Neighbours have been merged again: the whole of the larger range is one piece.
          expect(allocator.allocate(16 * page)).toBe(0x1000);
        },
      ),
    );
  });

  it('refuses to free what it did not allocate', () => {
    const allocator = new RangeAllocator([{ base: 0, size: page }], page);
    expect(() => allocator.release(0)).toThrow(/not allocated/);
  });

  it('reports that there is no room', () => {
    const allocator = new RangeAllocator([{ base: 0, size: 2 * page }], page);
    expect(allocator.allocate(3 * page)).toBeUndefined();
    expect(allocator.allocateScattered(3)).toBeUndefined();
    expect(allocator.allocateScattered(2)).toEqual([page, 0]);
  });
});
