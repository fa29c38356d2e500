import { foreignImage } from './foreign-image.js';

/** Size of `struct optee_header_v1` (scripts/gen_tee_bin.py of OP-TEE/optee_os). */
const headerSize = 28;
const magic = 'OPTE';

/** Start and size of OP-TEE in TZDRAM: firmware/layout.h, CFG_TZDRAM_START and _SIZE of the platform. */
export const opteeAddress = 0x0e10_0000;
const maxImageSize = 0x00f0_0000;
/** A release build with nearly everything left out is twice as large. */
const minImageSize = 0x1_0000;
/** The remedy, in every error about an unsuitable image. */
const rightBuild = 'build it with PLATFORM=vexpress-qemu_armv8a CFG_ARM_GICV3=y and give tee-pager_v2.bin';

/** OP-TEE's image as it is loaded. */
export interface OpteeImage {
  /** Loaded at `opteeAddress`. */
  readonly image: Uint8Array;
  /** The pages that a build with CFG_WITH_PAGER loads at run time; empty for other builds. */
  readonly pageable: Uint8Array;
}

/** Load address of the pageable part, firmware/layout.h. An image that extends beyond it has no such part. */
const pageableAddress = 0x0e90_0000;
export const maxPageableSize = opteeAddress + maxImageSize - pageableAddress;
const pageSize = 4096;
const hashSize = 32;

/**
 * The loadable parts of a file from OP-TEE's build: tee-pager_v2.bin or tee-raw.bin unchanged, tee.bin without its
 * header.
 * @param beside the tee-pageable_v2.bin of the same build, if it exists.
 * @throws RangeError naming the fault, if the file is certainly unsuitable. `doubtsAbout` gives the uncertain faults.
 */
export function opteeImage(file: Uint8Array, beside?: Uint8Array): OpteeImage {
  const { image, pageable = beside } = hasMagic(file) ? withoutHeader(file) : { image: file };
  if (image.length === 0)
    throw wrong('is empty (tee-pageable_v2.bin is, of a build without CFG_WITH_PAGER): give tee-pager_v2.bin');
  if (image.length > maxImageSize) throw wrong(`has ${image.length} bytes, secure RAM holds ${maxImageSize}`);
  const foreign = foreignImage(image);
  if (foreign !== undefined) throw wrong(foreign);
  if (image.length < minImageSize)
    throw wrong(`has ${image.length} bytes, less than any OP-TEE: it is something else, or truncated`);
  const data = embeddedData(image);
  if (data !== undefined) {
    const missing = data.end - image.length;
    if (missing > 0) throw wrong(`is truncated: ${missing} bytes are missing at its end`);
  }
  if (Buffer.from(image.buffer, image.byteOffset, image.length).includes(virtualization))
    throw wrong(
      'is built for a hypervisor (CFG_NS_VIRTUALIZATION=y), which this machine does not have: build it without',
    );
  const part = pageablePart(data?.hashes ?? 0, pageable);
  const elsewhere = linkedElsewhere(image, image.length + part.length);
  if (elsewhere !== undefined)
    throw wrong(
      `is linked for an address near 0x${elsewhere.toString(16)}, the virt machine has secure RAM for it at ` +
        `0x${opteeAddress.toString(16)}: ${rightBuild}`,
    );
  return { image, pageable: part };
}

/**
 * The pageable part. It must match the hashes in the image.
 * @param hashes size of the hashes in bytes: 32 per page, including those of the image's own pages.
 */
function pageablePart(hashes: number, part: Uint8Array = new Uint8Array(0)): Uint8Array {
  if (hashes === 0) return new Uint8Array(0);
  if (part.length === 0)
    throw wrong(
      'has a pageable part (CFG_WITH_PAGER), which is missing: tee-pageable_v2.bin of the same build must be next to it; ' +
        'or give tee.bin, which has both',
    );
  const most = (hashes / hashSize) * pageSize;
  if (part.length % pageSize !== 0 || part.length > Math.min(most, maxPageableSize))
    throw wrong(
      `has a pageable part of at most ${most} bytes in whole pages, tee-pageable_v2.bin next to it has ${part.length}: it is ` +
        'from another build, or truncated',
    );
  return part;
}

/** A source file that only such a build contains; assertions and panics contain its name. */
const virtualization = 'arm/kernel/virtualization.c';

/** Signs that an image is not an OP-TEE for this machine. They are shown as likely reasons if it does not boot. */
export function doubtsAbout(image: Uint8Array): readonly string[] {
  const doubts: string[] = [];
  const first = new DataView(image.buffer, image.byteOffset, image.length).getUint32(0, true);
  if (first !== firstInstruction)
    doubts.push(
      `its first instruction is 0x${first.toString(16).padStart(8, '0')}, no OP-TEE begins like this: ${rightBuild}`,
    );
  else if (embeddedData(image) === undefined)
    doubts.push('the relocations at the end of an OP-TEE are missing: it may be truncated');
  return doubts;
}

/** `mov x19, x0`: _start begins by saving its argument, on all platforms (core/arch/arm/kernel/entry_a64.S). */
const firstInstruction = 0xaa00_03f3;

function wrong(what: string): RangeError {
  return new RangeError(`the OP-TEE image ${what}`);
}

function hasMagic(file: Uint8Array): boolean {
  return new TextDecoder('latin1').decode(file.subarray(0, 4)) === magic;
}

function withoutHeader(file: Uint8Array): { readonly image: Uint8Array; readonly pageable?: Uint8Array } {
  if (file.length < 8) throw wrong(`ends within its header: it is truncated`);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const version = view.getUint8(4);
  if (view.getUint8(5) === 0)
    throw wrong('is a 32-bit core, by its header: build it with CFG_ARM64_core=y, PLATFORM=vexpress-qemu_armv8a');
  if (version === 2)
    throw wrong(
      'has a header of version 2, which only describes the files next to it: give tee-pager_v2.bin, which has none',
    );
  if (version !== 1)
    throw wrong(`has a header of version ${version}, which is not known: give tee-pager_v2.bin, which has none`);
  if (file.length < headerSize) throw wrong('ends within its header: it is truncated');
  const size = view.getUint32(8, true);
  const loadAddress = view.getUint32(12, true) * 2 ** 32 + view.getUint32(16, true);
  if (loadAddress !== opteeAddress)
    throw wrong(
      `is for address 0x${loadAddress.toString(16)}, the virt machine has secure RAM for it at ` +
        `0x${opteeAddress.toString(16)}: ${rightBuild}`,
    );
  const paged = view.getUint32(24, true);
  const missing = headerSize + size + paged - file.length;
  if (missing > 0) throw wrong(`is truncated: ${missing} of ${size + paged} bytes are missing at its end`);
  if (paged === 0) return { image: file.subarray(headerSize) };
  const end = headerSize + size;
  return { image: file.subarray(headerSize, end), pageable: file.subarray(end, end + paged) };
}

/**
 * `struct boot_embdata` at the end of an image: hashes of pageable pages, and relocations. It is found by consistency
 * of its numbers. scripts/gen_tee_bin.py writes it: the total length, then offset and size of each of both, in later
 * versions after their count. Each part is padded to 8 bytes.
 */
function embeddedData(image: Uint8Array): { readonly end: number; readonly hashes: number } | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  for (let at = (image.length - 24) & ~3; at >= 0; at -= 4) {
    const second = view.getUint32(at + 4, true);
    const start = second === 2 ? 8 : second === 20 ? 4 : undefined;
    if (start === undefined) continue;
    const total = view.getUint32(at, true);
    const hashesAt = view.getUint32(at + start, true);
    const hashes = view.getUint32(at + start + 4, true);
    const relocationsAt = view.getUint32(at + start + 8, true);
    const relocations = view.getUint32(at + start + 12, true);
    const pads = (next: number, end: number) => next >= end && next < end + 8;
    if (hashesAt !== start + 16 || !pads(relocationsAt, hashesAt + hashes) || !pads(total, relocationsAt + relocations))
      continue;
    return { end: at + relocationsAt + relocations, hashes };
  }
  return undefined;
}

const mebibyte = 1 << 20;
/** The number of pointers into one mebibyte that cannot be a coincidence; OP-TEE has a thousand and more. */
const manyPointers = 100;

/**
 * The mebibyte into which the image's pointers lead, if it is not where the image and its pageable part (`size` bytes)
 * are loaded.
 */
function linkedElsewhere(image: Uint8Array, size: number): number | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const counts = new Map<number, number>();
  let here = 0;
  for (let at = 0; at + 8 <= image.length; at += 8) {
    const high = view.getUint32(at + 4, true);
    const address = high * 2 ** 32 + view.getUint32(at, true);
    // Numbers below 16 MiB are lengths and flags; physical addresses have at most 40 bits.
    if (high > 0xff || address < 16 * mebibyte) continue;
    const block = Math.floor(address / mebibyte);
    if (address >= opteeAddress && address < opteeAddress + size) here++;
    else counts.set(block, (counts.get(block) ?? 0) + 1);
  }
  let most: [block: number, count: number] = [0, 0];
  for (const entry of counts) if (entry[1] > most[1]) most = entry;
  return most[1] >= Math.max(manyPointers, 4 * here) ? most[0] * mebibyte : undefined;
}
