const SHT_SYMTAB = 2;
const STT_FUNC = 2;

/**
 * The function that contains an address, from the symbols of a 64-bit ELF file; undefined if there is none or the file
 * is not such an ELF file.
 */
export function functionAt(elf: Uint8Array, address: number): string | undefined {
  try {
    return find(elf, BigInt(address));
  } catch (error) {
    // The symbol table is outside of a truncated file.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function find(elf: Uint8Array, address: bigint): string | undefined {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.length);
  if (view.getUint32(0) !== 0x7f45_4c46 || view.getUint8(4) !== 2) return undefined;
  const sections = Number(view.getBigUint64(40, true));
  const size = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  const field = (index: number, at: number) => Number(view.getBigUint64(sections + index * size + at, true));
  for (let index = 0; index < count; index++) {
    if (view.getUint32(sections + index * size + 4, true) !== SHT_SYMTAB) continue;
    const strings = field(view.getUint32(sections + index * size + 40, true), 24);
    const [start, length] = [field(index, 24), field(index, 32)];
    for (let at = start; at + 24 <= start + length; at += 24) {
      const value = view.getBigUint64(at + 8, true);
      const end = value + view.getBigUint64(at + 16, true);
      if ((view.getUint8(at + 4) & 0xf) !== STT_FUNC || address < value || address >= end) continue;
      const name = strings + view.getUint32(at, true);
      return new TextDecoder().decode(elf.subarray(name, elf.indexOf(0, name)));
    }
  }
  return undefined;
}
