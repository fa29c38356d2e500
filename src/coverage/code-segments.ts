const PT_LOAD = 1;
const PF_X = 1;

/** The executable segments of a 64-bit ELF file, with their virtual addresses. */
export function codeSegments(elf: Uint8Array): readonly { readonly start: number; readonly bytes: Uint8Array }[] {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.length);
  const table = Number(view.getBigUint64(32, true));
  const [size, count] = [view.getUint16(54, true), view.getUint16(56, true)];
  const segments: { start: number; bytes: Uint8Array }[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * size;
    if (view.getUint32(at, true) !== PT_LOAD || (view.getUint32(at + 4, true) & PF_X) === 0) continue;
    const offset = Number(view.getBigUint64(at + 8, true));
    segments.push({
      start: Number(view.getBigUint64(at + 16, true)),
      bytes: elf.subarray(offset, offset + Number(view.getBigUint64(at + 32, true))),
    });
  }
  return segments;
}

/** The link address of an ELF file's first segment; 0 for position-independent files. */
export function imageBase(elf: Uint8Array): number {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.length);
  const table = Number(view.getBigUint64(32, true));
  const [size, count] = [view.getUint16(54, true), view.getUint16(56, true)];
  let base: number | undefined;
  for (let index = 0; index < count; index++) {
    const at = table + index * size;
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const address = Number(view.getBigUint64(at + 16, true));
    base = Math.min(base ?? address, address);
  }
  return base ?? 0;
}
