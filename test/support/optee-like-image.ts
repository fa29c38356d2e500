import { opteeAddress } from '../../src/worlds/qemu/optee-image.js';

/** mov x19, x0 */
const firstInstruction = 0xaa00_03f3;

interface Made {
  /** Where its pointers lead. */
  readonly link?: number;
  /** Bytes of hashes of pageable pages. */
  readonly hashes?: number;
  /** The form of versions before 4.0: without the number of parts. */
  readonly older?: boolean;
}

/** An image as scripts/gen_tee_bin.py makes it, in miniature: code, pointers, relocations. */
export function opteeLikeImage({ link = opteeAddress, hashes = 0, older = false }: Made = {}): Uint8Array {
  const code = 0x2_0000;
  const relocations = 1204;
  const header = older ? 20 : 24;
  const total = Math.ceil((header + hashes + relocations) / 8) * 8;
  const file = new Uint8Array(code + total);
  const view = new DataView(file.buffer);
  for (let at = 0; at < code; at += 4) view.setUint32(at, 0x9100_0000 + at, true);
  view.setUint32(0, firstInstruction, true);
  for (let index = 0; index < 300; index++) view.setBigUint64(0x1000 + 8 * index, BigInt(link + 64 * index), true);
  const parts = [header, hashes, header + hashes, relocations];
  for (const [index, word] of [total, ...(older ? [] : [2]), ...parts].entries())
    view.setUint32(code + 4 * index, word, true);
  return file;
}
