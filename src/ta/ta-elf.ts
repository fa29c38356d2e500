import { readRegularFileSync } from '../files/read-regular-file.js';
import { type Uuid, uuidFromStruct } from '../protocol/uuid.js';

/** The properties of a trusted application in its ELF. */
export interface TaElf {
  readonly bits: 32 | 64;
  readonly machine: 'Arm' | 'AArch64' | string;
  /** `struct ta_head`; undefined if missing. */
  readonly head: TaHead | undefined;
  /** Size of its writable memory in bytes: data, and the heap. */
  readonly writable: number;
  /** Size of its heap in bytes; undefined if symbols are stripped. */
  readonly heap: number | undefined;
  /** The UUIDs of the libraries that it is linked with (DT_NEEDED). */
  readonly needed: readonly string[];
  readonly entry: number;
}

export interface TaHead {
  readonly uuid: Uuid;
  /** Stack size in bytes: what the TA requested plus the framework's part. */
  readonly stack: number;
  readonly flags: number;
}

/** TA_FLAG_* of user_ta_header.h */
const flagNames: readonly (readonly [bit: number, name: string])[] = [
  [1 << 2, 'SINGLE_INSTANCE'],
  [1 << 3, 'MULTI_SESSION'],
  [1 << 4, 'INSTANCE_KEEP_ALIVE'],
  [1 << 5, 'SECURE_DATA_PATH'],
  [1 << 6, 'REMAP_SUPPORT'],
  [1 << 7, 'CACHE_MAINTENANCE'],
  [1 << 8, 'CONCURRENT'],
  [1 << 9, 'DEVICE_ENUM'],
  [1 << 10, 'DEVICE_ENUM_SUPP'],
  [1 << 11, 'DONT_CLOSE_HANDLE_ON_CORRUPT_OBJECT'],
  [1 << 12, 'DEVICE_ENUM_TEE_STORAGE_PRIVATE'],
  [1 << 13, 'INSTANCE_KEEP_CRASHED'],
];

export function taFlagNames(flags: number): string[] {
  return flagNames.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
}

/** The bits of TA_FLAGS that no known OP-TEE has. Bits 0 and 1 were of OP-TEE 2. */
export function unknownTaFlags(flags: number): number {
  const known = flagNames.reduce((all, [bit]) => all | bit, 3);
  return (flags & ~known) >>> 0;
}

/** Whether an instance stays loaded without sessions. A changed image is not loaded while it exists. */
export function isKeptAlive(flags: number): boolean {
  const kept = (1 << 2) | (1 << 4);
  return (flags & kept) === kept;
}

/** Stack size in bytes of the application in an ELF; 0 if it is not stated. */
export function stackSizeOf(elf: string): number {
  return taElf(readRegularFileSync(elf))?.head?.stack ?? 0;
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const SHT_NOBITS = 8;
const SHT_SYMTAB = 2;

/** Parse an ELF; undefined if it is not one, or is truncated. Never throws. */
export function taElf(bytes: Uint8Array): TaElf | undefined {
  try {
    return read(bytes);
  } catch (error) {
    // A read beyond the end.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function read(bytes: Uint8Array): TaElf | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0) !== 0x7f45_4c46) return undefined;
  const is64 = view.getUint8(4) === 2;
  const word = (at: number) => (is64 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const machineId = view.getUint16(18, true);
  const machine = machineId === 183 ? 'AArch64' : machineId === 40 ? 'Arm' : `machine ${machineId}`;
  const entry = word(24);
  const programs = word(is64 ? 32 : 28);
  const sectionsAt = word(is64 ? 40 : 32);
  const counts = is64 ? 54 : 42;
  const programSize = view.getUint16(counts, true);
  const programCount = view.getUint16(counts + 2, true);
  const sectionSize = view.getUint16(counts + 4, true);
  const sectionCount = view.getUint16(counts + 6, true);
  const namesIndex = view.getUint16(counts + 8, true);

  const raw = Array.from({ length: sectionCount }, (_, index) => {
    const at = sectionsAt + index * sectionSize;
    return {
      nameAt: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      address: word(at + (is64 ? 16 : 12)),
      offset: word(at + (is64 ? 24 : 16)),
      size: word(at + (is64 ? 32 : 20)),
      link: view.getUint32(at + (is64 ? 40 : 24), true),
    };
  });
  const names = raw[namesIndex];
  const sections: Section[] = raw.map(({ nameAt, ...section }) => ({
    ...section,
    name: names === undefined ? '' : text(bytes, names.offset + nameAt),
  }));
  const content = (name: string) => {
    const section = sections.find((each) => each.name === name && each.type !== SHT_NOBITS);
    return section === undefined ? undefined : bytes.subarray(section.offset, section.offset + section.size);
  };

  let writable = 0;
  for (let index = 0; index < programCount; index++) {
    const at = programs + index * programSize;
    const flags = view.getUint32(at + (is64 ? 4 : 24), true);
    if (view.getUint32(at, true) === 1 && (flags & 2) !== 0) writable += word(at + (is64 ? 40 : 20));
  }
  return {
    bits: is64 ? 64 : 32,
    machine,
    head: headOf(content('.ta_head')),
    writable,
    heap: symbolSize(view, bytes, sections, is64, 'ta_heap'),
    needed: neededOf(content('.dynamic'), content('.dynstr'), is64),
    entry,
  };
}

function headOf(head: Uint8Array | undefined): TaHead | undefined {
  if (head === undefined || head.length < 24) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  return {
    uuid: uuidFromStruct(head.subarray(0, 16)),
    stack: view.getUint32(16, true),
    flags: view.getUint32(20, true),
  };
}

function symbolSize(view: DataView, bytes: Uint8Array, sections: readonly Section[], is64: boolean, name: string) {
  const table = sections.find(({ type }) => type === SHT_SYMTAB);
  const strings = table === undefined ? undefined : sections[table.link];
  if (table === undefined || strings === undefined) return undefined;
  const step = is64 ? 24 : 16;
  for (let at = table.offset; at + step <= table.offset + table.size; at += step)
    if (text(bytes, strings.offset + view.getUint32(at, true)) === name)
      return is64 ? Number(view.getBigUint64(at + 16, true)) : view.getUint32(at + 8, true);
  return undefined;
}

const DT_NEEDED = 1;

function neededOf(dynamic: Uint8Array | undefined, strings: Uint8Array | undefined, is64: boolean): string[] {
  if (dynamic === undefined || strings === undefined) return [];
  const view = new DataView(dynamic.buffer, dynamic.byteOffset, dynamic.length);
  const step = is64 ? 16 : 8;
  const needed: string[] = [];
  for (let at = 0; at + step <= dynamic.length; at += step)
    if (view.getUint32(at, true) === DT_NEEDED) needed.push(text(strings, view.getUint32(at + step / 2, true)));
  return needed;
}

function text(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  return new TextDecoder('latin1').decode(bytes.subarray(at, end < 0 ? at : end));
}
