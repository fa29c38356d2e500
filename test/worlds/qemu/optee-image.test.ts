import { describe, expect, it } from 'vitest';
import { opteeAddress, opteeImage } from '../../../src/worlds/qemu/optee-image.js';

/** A file as scripts/gen_tee_bin.py makes tee.bin. */
function withHeader(change: (header: DataView) => void = () => undefined): Uint8Array {
  const file = new Uint8Array(28 + 8).fill(7);
  file.set(new TextEncoder().encode('OPTE'));
  const header = new DataView(file.buffer);
  header.setUint8(4, 1);
  header.setUint32(16, opteeAddress, true);
  header.setUint32(24, 0, true);
  change(header);
  return file;
}

describe("OP-TEE's image", () => {
  it('is the file itself, or what stands behind its header', () => {
    const raw = new Uint8Array(64);
    expect(opteeImage(raw)).toBe(raw);
    expect(opteeImage(withHeader())).toEqual(new Uint8Array(8).fill(7));
  });

  it.each<[string, Uint8Array, string]>([
    ['empty', new Uint8Array(0), 'the OP-TEE image is empty'],
    ['too large', new Uint8Array(0xf0_0001), 'has 15728641 bytes, secure RAM holds 15728640'],
    ['of another version', withHeader((header) => header.setUint8(4, 2)), 'a header of version 2'],
    [
      'for another machine',
      withHeader((header) => header.setUint32(16, 0x3000_0000, true)),
      'is for address 0x30000000',
    ],
    ['pageable', withHeader((header) => header.setUint32(24, 4096, true)), 'CFG_WITH_PAGER'],
  ])('is refused when it is %s', (_name, file, why) => {
    expect(() => opteeImage(file)).toThrow(why);
  });
});
