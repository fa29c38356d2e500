import { readUpTo } from './read-whole.js';

/** The longest text that is read, in octets: what a recorded schedule may have, and no scenario. */
const longestText = 2 ** 28;

/** A file is no text in UTF-8; the message says in which line. */
export class TextFileError extends Error {
  override readonly name = 'TextFileError';
  constructor(readonly line: number) {
    super(`line ${line} is not UTF-8`);
  }
}

/**
 * The text of a file.
 * @throws TextFileError when it is not UTF-8, which a reader would else fill up with U+FFFD; FileLengthError when it is too
 *   long; neither names the file.
 */
export async function readText(path: string): Promise<string> {
  const octets = await readUpTo(path, longestText);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets);
  } catch {
    throw new TextFileError(lineOfFault(octets));
  }
}

/** The first line that is no UTF-8. No character of UTF-8 has the octet of a line feed in it. */
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
