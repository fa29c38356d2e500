const PT_LOAD = 1;
const SHT_SYMTAB = 2;
const STT_FUNC = 2;

/**
 * The function that contains an address, from the symbols of an ELF file; undefined if there is none or the file is not
 * an ELF file.
 */
export function functionAt(elf: Uint8Array, address: number): string | undefined {
  return orUndefined(() => find(elf, address));
}

/** The lowest address for which an ELF file is linked; undefined if it has none or the file is not an ELF file. */
export function linkAddress(elf: Uint8Array): number | undefined {
  return orUndefined(() => {
    const file = elfFile(elf);
    if (file === undefined) return undefined;
    const { view, word, is64 } = file;
    const [at, size, count] = is64
      ? [word(32), view.getUint16(54, true), view.getUint16(56, true)]
      : [word(28), view.getUint16(42, true), view.getUint16(44, true)];
    const starts: number[] = [];
    for (let index = 0; index < count; index++)
      if (view.getUint32(at + index * size, true) === PT_LOAD) starts.push(word(at + index * size + (is64 ? 16 : 8)));
    return starts.length === 0 ? undefined : Math.min(...starts);
  });
}

function orUndefined<Found>(read: () => Found | undefined): Found | undefined {
  try {
    return read();
  } catch (error) {
    // A table is outside of a truncated file.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function elfFile(elf: Uint8Array) {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.length);
  if (view.getUint32(0) !== 0x7f45_4c46) return undefined;
  const is64 = view.getUint8(4) === 2;
  const word = (at: number) => (is64 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  return { view, is64, word };
}

function find(elf: Uint8Array, address: number): string | undefined {
  const file = elfFile(elf);
  if (file === undefined) return undefined;
  const { view, word, is64 } = file;
  const sections = word(is64 ? 40 : 32);
  const size = view.getUint16(is64 ? 58 : 46, true);
  const count = view.getUint16(is64 ? 60 : 48, true);
  const step = is64 ? 24 : 16;
  for (let index = 0; index < count; index++) {
    const section = sections + index * size;
    if (view.getUint32(section + 4, true) !== SHT_SYMTAB) continue;
    const [start, length, link] = is64
      ? [word(section + 24), word(section + 32), view.getUint32(section + 40, true)]
      : [word(section + 16), word(section + 20), view.getUint32(section + 24, true)];
    const strings = word(sections + link * size + (is64 ? 24 : 16));
    for (let at = start; at + step <= start + length; at += step) {
      const info = view.getUint8(at + (is64 ? 4 : 12));
      // The address of a function in Thumb code has bit 0 set.
      const value = is64 ? word(at + 8) : word(at + 4) - (word(at + 4) % 2);
      const end = value + word(at + (is64 ? 16 : 8));
      if ((info & 0xf) !== STT_FUNC || address < value || address >= end) continue;
      const name = strings + view.getUint32(at, true);
      return new TextDecoder().decode(elf.subarray(name, elf.indexOf(0, name)));
    }
  }
  return undefined;
}
