import { describe, expect, it } from 'vitest';
import { doubtsAbout, opteeAddress, opteeImage } from '../../../src/worlds/qemu/optee-image.js';
import { opteeLikeImage as image } from '../../support/optee-like-image.js';

/** A file as it makes tee.bin. */
function withHeader(change: (header: DataView) => void = () => undefined): Uint8Array {
  const body = image();
  const file = new Uint8Array(28 + body.length);
  file.set(new TextEncoder().encode('OPTE'));
  file.set(body, 28);
  const header = new DataView(file.buffer);
  header.setUint8(4, 1);
  header.setUint8(5, 1);
  header.setUint32(8, body.length, true);
  header.setUint32(16, opteeAddress, true);
  change(header);
  return file;
}

function bytes(...start: readonly number[]): Uint8Array {
  const file = new Uint8Array(100_000).fill(0x81);
  file.set(start);
  return file;
}

const text = (start: string) => new TextEncoder().encode(start.padEnd(100_000, ' a word\n'));

describe("OP-TEE's image", () => {
  it('is the file itself, or the data behind its header', () => {
    const raw = image();
    expect(opteeImage(raw)).toEqual({ image: raw, pageable: new Uint8Array(0) });
    expect(opteeImage(withHeader()).image).toEqual(raw);
    expect(doubtsAbout(raw)).toEqual([]);
    expect(doubtsAbout(opteeImage(image({ older: true })).image)).toEqual([]);
  });

  it('may lack padding at its end', () => {
    const raw = image();
    expect(opteeImage(raw.subarray(0, -4)).image).toHaveLength(raw.length - 4);
  });

  const arm32 = new Uint8Array(100_000).fill(0xe1);
  const xz = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
  it.each<[string, Uint8Array, string | RegExp]>([
    ['empty', new Uint8Array(0), 'the OP-TEE image is empty'],
    ['of four bytes', Uint8Array.of(1, 2, 3, 4), 'has 4 bytes, less than any OP-TEE'],
    ['too large', new Uint8Array(0xf0_0001), 'has 15728641 bytes, secure RAM holds 15728640'],
    [
      'an ELF',
      bytes(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 183, 0),
      /ELF .*AArch64.*tee-pager_v2/,
    ],
    [
      'a program of the host',
      bytes(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0),
      /ELF .*x86-64/,
    ],
    ['a text', text('PLATFORM=vexpress'), 'is a text file'],
    ['a text in another language', text('Größe: '), 'is a text file'],
    ['a device tree source', text('/dts-v1/;\n/ { };'), 'is the source of a device tree'],
    ['a page', text('<!DOCTYPE html>'), 'is HTML or XML'],
    ['a short text', new TextEncoder().encode('not found\n'), 'is a text file'],
    ['a device tree', bytes(0xd0, 0x0d, 0xfe, 0xed), 'is a device tree'],
    ['a trusted application', bytes(0x48, 0x53, 0x54, 0x4f), 'signed trusted application'],
    ['compressed', bytes(0x1f, 0x8b), 'compressed by gzip'],
    ['compressed otherwise', bytes(...xz), 'compressed by xz'],
    ['zeros', new Uint8Array(100_000), 'begins with 4096 bytes 0x00'],
    ['erased flash', new Uint8Array(100_000).fill(0xff), 'begins with 4096 bytes 0xff'],
    ['a 32-bit core', arm32.map((byte, index) => (index % 4 === 3 ? byte : index)), 'is a 32-bit core'],
    ['linked for elsewhere', image({ link: 0x9e80_0000 }), 'is linked for an address near 0x9e800000'],
    ['linked for the next address', image({ link: 0x0e20_0000 }), 'is linked for an address near 0xe200000'],
    ['pageable, alone', image({ hashes: 320 }), 'tee-pageable_v2.bin of the same build must be next to it'],
    ['truncated', image().subarray(0, -100), /is truncated: (9\d|100) bytes are missing/],
    [
      'truncated in another form',
      image({ older: true }).subarray(0, -100),
      /is truncated: (9\d|100) bytes are missing/,
    ],
    [
      'for a hypervisor',
      bytes(...new TextEncoder().encode('core/arch/arm/kernel/virtualization.c')),
      'CFG_NS_VIRTUALIZATION',
    ],
    ['a header of version 2', withHeader((header) => header.setUint8(4, 2)), 'a header of version 2'],
    ['a header alone', withHeader((header) => header.setUint8(4, 2)).subarray(0, 28), 'a header of version 2'],
    ['of no known version', withHeader((header) => header.setUint8(4, 9)), 'a header of version 9'],
    ['a 32-bit core, by its header', withHeader((header) => header.setUint8(5, 0)), 'is a 32-bit core, by its header'],
    ['part of a header', withHeader().subarray(0, 20), 'ends within its header'],
    ['the first bytes of a header', withHeader().subarray(0, 5), 'ends within its header'],
    ['shorter than its header says', withHeader().subarray(0, 90_000), /is truncated: \d+ of \d+ bytes/],
    [
      'for another machine, by its header',
      withHeader((header) => header.setUint32(16, 0x3000_0000, true)),
      'is for address 0x30000000',
    ],
    [
      'for high memory, by its header',
      withHeader((header) => header.setUint32(12, 1, true)),
      'is for address 0x10e100000',
    ],
    [
      'without the pageable part of its header',
      withHeader((header) => header.setUint32(24, 4096, true)),
      'is truncated: 4096 of',
    ],
    ['a header with another thing behind it', withHeader((header) => header.setUint32(28, 0x464c_457f, true)), 'ELF'],
  ])('is refused when it is %s', (_name, file, why) => {
    expect(() => opteeImage(file)).toThrow(RangeError);
    expect(() => opteeImage(file)).toThrow(why);
  });

  it('has the pageable part from a file beside it, or from tee.bin', () => {
    const pageable = new Uint8Array(8192).fill(7);
    const paged = image({ hashes: 320 });
    expect(opteeImage(paged, pageable)).toEqual({ image: paged, pageable });
    const whole = new Uint8Array(28 + paged.length + pageable.length);
    whole.set(withHeader().subarray(0, 28));
    whole.set(paged, 28);
    whole.set(pageable, 28 + paged.length);
    const header = new DataView(whole.buffer);
    header.setUint32(8, paged.length, true);
    header.setUint32(24, pageable.length, true);
    expect(opteeImage(whole)).toEqual({ image: paged, pageable });
    // One that pages nothing in has no use for what lies beside it.
    expect(opteeImage(image(), pageable).pageable).toHaveLength(0);
  });

  it.each([
    ['empty', 0],
    ['not of whole pages', 5000],
    ['larger than there are hashes for', 11 * 4096],
  ])('is refused when the pageable part beside it is %s', (_what, size) => {
    expect(() => opteeImage(image({ hashes: 320 }), new Uint8Array(size))).toThrow('pageable part');
  });

  it('is reported as suspicious if its beginning is unusual or its end is missing', () => {
    const other = bytes(1, 2, 3, 4);
    expect(doubtsAbout(opteeImage(other).image)).toEqual([expect.stringContaining('first instruction is 0x04030201')]);
    const cut = image().subarray(0, 0x1_8000);
    expect(doubtsAbout(opteeImage(cut).image)).toEqual([expect.stringContaining('may be truncated')]);
  });
});
