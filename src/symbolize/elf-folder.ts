import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readRegularFileSync } from '../files/read-regular-file.js';
import type { CodePlace } from './dump-reader.js';
import { functionAt, linkAddress } from './function-symbols.js';

/** A function in a call stack, with its source location. */
export interface SourceFrame {
  readonly function: string;
  /** Undefined if the ELF file has no line information. */
  readonly file: string | undefined;
  readonly line: number | undefined;
}

/** The last is for any architecture if binutils-multiarch is installed. */
const programs = ['aarch64-linux-gnu-addr2line', 'arm-linux-gnueabihf-addr2line', 'addr2line'];

/**
 * What is known of addresses in ELF files: reading a large file's line information takes about 100 ms, and a fuzzer meets
 * the same death again and again.
 */
const known = new Map<string, readonly SourceFrame[]>();
const mostKnown = 4096;

/** Unstripped ELF files of secure-world code: `<uuid>.elf`, in the same folders as the `.ta` files. */
export class ElfFolders {
  private readonly linkAddresses = new Map<string, number>();

  /** @param core the ELF file of OP-TEE itself (tee.elf). */
  constructor(
    private readonly folders: readonly string[],
    private readonly core?: string,
  ) {}

  /** Path of the unstripped ELF file of an image, if it exists. */
  elfOf(image: string): string | undefined {
    if (image === 'core') return this.core !== undefined && existsSync(this.core) ? this.core : undefined;
    return this.folders.map((folder) => join(folder, `${image}.elf`)).find((file) => existsSync(file));
  }

  private linkAddressOf(elf: string): number {
    let address = this.linkAddresses.get(elf);
    if (address === undefined) {
      address = contentOf(elf, linkAddress) ?? 0;
      this.linkAddresses.set(elf, address);
    }
    return address;
  }

  /**
   * The functions at a code address, innermost first; more than one if calls were inlined. Empty if nothing is known.
   */
  framesAt({ image, address, offset, returns }: CodePlace): readonly SourceFrame[] {
    const elf = image === undefined ? undefined : this.elfOf(image);
    if (elf === undefined) return [];
    // The core is not linked for address 0, and not every build says where it was loaded: then it is where it was linked.
    const place = offset === undefined ? Number(address) : offset + this.linkAddressOf(elf);
    return framesIn(elf, returns ? place - 1 : place);
  }
}

function framesIn(elf: string, at: number): readonly SourceFrame[] {
  // A file that was built anew is another one.
  const { ino, mtimeMs, size } = statSync(elf, { throwIfNoEntry: false }) ?? {};
  const name = [elf, ino, mtimeMs, size, at].join(' ');
  const before = known.get(name);
  if (before !== undefined) return before;
  const lines = byAddr2line(elf, at);
  if (lines.length > 0) {
    if (known.size >= mostKnown) known.clear();
    known.set(name, lines);
    return lines;
  }
  // Without addr2line, find at least the function. This is not kept: addr2line may only have failed to start.
  const found = contentOf(elf, (bytes) => functionAt(bytes, at));
  return found === undefined ? [] : [{ function: found, file: undefined, line: undefined }];
}

/** Undefined if the file cannot be read as well: whoever reports a death still reports the rest of it. */
function contentOf<Found>(elf: string, read: (bytes: Uint8Array) => Found | undefined): Found | undefined {
  try {
    return read(readRegularFileSync(elf));
  } catch {
    return undefined;
  }
}

function byAddr2line(elf: string, offset: number): SourceFrame[] {
  for (const program of programs) {
    let said: string;
    try {
      said = execFileSync(program, ['-f', '-i', '-C', '-e', elf, `0x${offset.toString(16)}`], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch {
      continue;
    }
    const lines = said.trimEnd().split('\n');
    const frames: SourceFrame[] = [];
    for (let index = 0; index + 1 < lines.length; index += 2) {
      const name = lines[index] ?? '';
      const [, file, line] = /^(.*):(\d+|\?)/.exec(lines[index + 1] ?? '') ?? [];
      if (name === '??') continue;
      const hasLine = file !== undefined && file !== '??' && line !== '?' && line !== '0';
      frames.push({ function: name, file: hasLine ? file : undefined, line: hasLine ? Number(line) : undefined });
    }
    if (frames.length > 0) return frames;
  }
  return [];
}
