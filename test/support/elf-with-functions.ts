/** A function of an ELF file, at its link address. */
export interface ElfFunction {
  readonly name: string;
  readonly at: number;
  readonly size: number;
}

/** An ELF file with one segment and a symbol table, for AArch64 or 32-bit Arm, without line information. */
export function elfWithFunctions(bits: 32 | 64, linkedAt: number, functions: readonly ElfFunction[]): Uint8Array {
  const is64 = bits === 64;
  const names = `\0${functions.map(({ name }) => `${name}\0`).join('')}`;
  const [header, program, section, symbol] = is64 ? [64, 56, 64, 24] : [52, 32, 40, 16];
  const symbolsAt = header + program;
  const symbolsSize = symbol * (functions.length + 1);
  const namesAt = symbolsAt + symbolsSize;
  const sectionsAt = namesAt + names.length;
  const bytes = Buffer.alloc(sectionsAt + 3 * section);
  const put16 = (at: number, value: number) => bytes.writeUInt16LE(value, at);
  const put32 = (at: number, value: number) => bytes.writeUInt32LE(value, at);
  const word = (at: number, value: number) => (is64 ? bytes.writeBigUInt64LE(BigInt(value), at) : put32(at, value));
  bytes.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1]);
  put16(16, 2);
  put16(18, is64 ? 183 : 40);
  put32(20, 1);
  word(is64 ? 32 : 28, header);
  word(is64 ? 40 : 32, sectionsAt);
  for (const [index, value] of [header, program, 1, section, 3, 0].entries())
    put16((is64 ? 52 : 40) + 2 * index, value);
  put32(header, 1);
  put32(header + (is64 ? 4 : 24), 5);
  word(header + (is64 ? 16 : 8), linkedAt);
  word(header + (is64 ? 32 : 16), sectionsAt);
  word(header + (is64 ? 40 : 20), 0x10_0000);
  for (const [index, { name, at, size }] of functions.entries()) {
    const place = symbolsAt + (index + 1) * symbol;
    put32(place, names.indexOf(`\0${name}\0`) + 1);
    word(place + (is64 ? 8 : 4), at);
    word(place + (is64 ? 16 : 8), size);
    bytes.writeUInt8(0x12, place + (is64 ? 4 : 12));
    put16(place + (is64 ? 6 : 14), 1);
  }
  bytes.write(names, namesAt, 'latin1');
  const table = (index: number, type: number, at: number, size: number, link: number, entry: number) => {
    const place = sectionsAt + index * section;
    put32(place + 4, type);
    word(place + (is64 ? 24 : 16), at);
    word(place + (is64 ? 32 : 20), size);
    put32(place + (is64 ? 40 : 24), link);
    word(place + (is64 ? 56 : 36), entry);
  };
  table(1, 2, symbolsAt, symbolsSize, 2, symbol);
  table(2, 3, namesAt, names.length, 0, 0);
  return bytes;
}
