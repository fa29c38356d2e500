import { join } from 'node:path';
import { codeSegments } from '../../coverage/code-segments.js';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import type { Uuid } from '../../protocol/uuid.js';
import { signedImage } from '../../ta/signed-image.js';
import { taElf } from '../../ta/ta-elf.js';
import { type CodeConstants, codeConstants } from './code-constants.js';

/** What an application's image says about its inputs. */
export interface KnownImage {
  readonly constants: CodeConstants;
  /** Whether each session may load another instance. */
  readonly loadsOften: boolean;
}

/** TA_FLAG_SINGLE_INSTANCE and TA_FLAG_MULTI_SESSION of user_ta_header.h. */
const oneForAll = (1 << 2) | (1 << 3);

/** Undefined if there is no image in the folders, or if it cannot be read: encrypted, or for 32-bit Arm. */
export function knownImage(uuid: Uuid, folders: readonly string[]): KnownImage | undefined {
  for (const folder of folders) {
    let file: Uint8Array;
    try {
      file = readRegularFileSync(join(folder, `${uuid}.ta`));
    } catch {
      continue;
    }
    const parts = signedImage(file);
    if (parts.kind === 'unknown' || parts.kind === 'encrypted') return undefined;
    const elf = taElf(parts.content);
    if (elf?.machine !== 'AArch64') return undefined;
    const code = codeOf(parts.content);
    if (code === undefined) return undefined;
    return { constants: codeConstants(code), loadsOften: ((elf.head?.flags ?? 0) & oneForAll) !== oneForAll };
  }
  return undefined;
}

/** Undefined if the file is cut short. */
function codeOf(elf: Uint8Array): Uint8Array | undefined {
  try {
    return Buffer.concat(codeSegments(elf).map(({ bytes }) => bytes));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
