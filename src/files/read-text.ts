import { readUpTo } from './read-whole.js';

/** Largest text, in octets. It is large enough for recorded schedules. */
const longestText = 2 ** 28;

/** The file is not UTF-8; the message has the line. */
export class TextFileError extends Error {
  override readonly name = 'TextFileError';
  constructor(readonly line: number) {
    super(`line ${line} is not UTF-8`);
  }
}

/**
 * Read a text file.
 * @throws TextFileError if it is not UTF-8, because decoding would insert U+FFFD; FileLengthError if it is too long.
 * Neither names the file.
 */
export async function readText(path: string): Promise<string> {
  const octets = await readUpTo(path, longestText);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets);
  } catch {
    throw new TextFileError(lineOfFault(octets));
  }
}

/** The first line that is not valid UTF-8. In UTF-8, the octet of a line feed occurs in no other character. */
function lineOfFault(octets: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  for (let start = 0; start < octets.length; line++) {
    const end = octets.indexOf(0x0a, start);
    try {
      decoder.decode(octets.subarray(start, end < 0 ? octets.length : end));
    } catch {
      return line;
    }
    if (end < 0) break;
    start = end + 1;
  }
  return line;
}
