import { readRegularFileSync } from '../files/read-regular-file.js';
import type { ElfFolders } from '../symbolize/elf-folder.js';
import { parseConsoleLine } from '../worlds/qemu/console-line.js';
import { LoadedImage } from './loaded-image.js';

const loaded = /^ELF \((?<uuid>[0-9a-f-]{36})\) at (?<address>0x[0-9a-f]+)/i;
const core = /^Executing at offset 0x[0-9a-f]+ with virtual load address (?<address>0x[0-9a-f]+)/i;
/** Load address of OP-TEE before its MMU is on: CFG_TZDRAM_START of the QEMU platform. */
const coreStart = 0x0e10_0000n;

/**
 * The images that a TEE has loaded and for which ELF files with symbols exist, according to the secure console. OP-TEE
 * needs log level 3, as in Debian's build. OP-TEE itself is `core`.
 */
export class LoadedImages {
  private readonly images = new Map<string, LoadedImage>();

  constructor(private readonly elves: ElfFolders) {}

  /** Process a line of the secure console. */
  read(text: string): void {
    const message = parseConsoleLine(text).parsed?.message ?? '';
    const { uuid, address = core.exec(message)?.groups?.address } = loaded.exec(message)?.groups ?? {};
    if (address === undefined) return;
    const name = uuid?.toLowerCase() ?? 'core';
    const known = this.images.get(name);
    const elf = this.elves.elfOf(name);
    if (elf === undefined || !is64Bit(elf)) return;
    const image = known ?? new LoadedImage(elf);
    this.images.set(name, image);
    image.loadedAt(BigInt(address));
    if (name === 'core') image.loadedAt(coreStart);
  }

  [Symbol.iterator](): IterableIterator<[string, LoadedImage]> {
    return this.images.entries();
  }
}

function is64Bit(elf: string): boolean {
  const head = readRegularFileSync(elf).subarray(0, 5);
  return head.length === 5 && head.readUInt32BE(0) === 0x7f45_4c46 && head[4] === 2;
}
