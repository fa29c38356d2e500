import { createReadStream, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { TextDecoder } from 'node:util';
import { createGunzip } from 'node:zlib';

/** A record is not text, or cannot be read; the message says what to do. */
export class RecordTextError extends Error {
  override readonly name = 'RecordTextError';
}

/** Longer lines are truncated; lines of the kernel are shorter. Characters. */
const longestLine = 4096;
/** Largest record that can be imported, in characters. */
const longestText = 2 ** 29;

/** Binary record formats: their first octets, and the tool that converts them to text. */
const binaries: readonly { readonly magic: readonly number[]; readonly what: string }[] = [
  {
    magic: [0x17, 0x08, 0x44, 0x74, 0x72, 0x61, 0x63, 0x69, 0x6e, 0x67],
    what: 'it is a binary file of trace-cmd: trace-cmd report -i FILE > FILE.txt, and import that',
  },
  {
    magic: [...Buffer.from('PERFILE2')],
    what: 'it is a binary file of perf: perf script -i FILE > FILE.txt, and import that',
  },
  {
    magic: [...Buffer.from('2ELIFREP')],
    what: 'it is a binary file of perf: perf script -i FILE > FILE.txt, and import that',
  },
  { magic: [0x89, 0x4e, 0x57, 0x54], what: 'it is a trace already: normalworld trace stats FILE, or view FILE' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], what: 'it is compressed: xz -dc FILE | normalworld trace import -' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], what: 'it is compressed: zstd -dc FILE | normalworld trace import -' },
  { magic: [...Buffer.from('BZh')], what: 'it is compressed: bzip2 -dc FILE | normalworld trace import -' },
  { magic: [0x04, 0x22, 0x4d, 0x18], what: 'it is compressed: lz4 -dc FILE | normalworld trace import -' },
  { magic: [...Buffer.from('PK\x03\x04')], what: 'it is an archive: unzip it, and import the text in it' },
  { magic: [0x7f, 0x45, 0x4c, 0x46], what: 'it is a program' },
];

/** The lines of a recorded text. */
export interface RecordLines {
  readonly lines: readonly string[];
  /** How the file ends too early, if it does. */
  readonly torn: string | undefined;
}

/**
 * The lines of a recorded text: plain or gzip, UTF-8 or UTF-16. Of a torn gzip file, the lines before its end.
 * @param path `-` is standard input.
 * @throws RecordTextError
 */
export async function readRecordLines(path: string): Promise<RecordLines> {
  try {
    if (path !== '-' && statSync(path).isDirectory())
      throw new RecordTextError(`${path}: it is a folder; name the file in it`);
    return await linesOf(path, path === '-' ? process.stdin : createReadStream(path));
  } catch (error) {
    if (error instanceof RecordTextError) throw error;
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new RecordTextError('syscall' in error ? error.message : `${path}: ${error.message}`, { cause: error });
  }
}

async function linesOf(path: string, input: Readable): Promise<RecordLines> {
  const chunks = input[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head: Buffer = Buffer.alloc(0);
  let done = false;
  // Reads from a pipe may return few octets.
  while (head.length < 16 && !done) {
    const next = await chunks.next();
    done = next.done === true;
    if (!done) head = Buffer.concat([head, next.value]);
  }
  const begins = (magic: readonly number[]) => magic.every((octet, index) => head[index] === octet);
  async function* rest(): AsyncGenerator<Buffer> {
    yield head;
    for (
      let next = done ? undefined : await chunks.next();
      next !== undefined && next.done !== true;
      next = await chunks.next()
    )
      yield next.value;
  }
  if (begins([0x1f, 0x8b])) return textLines(path, unpacked(rest()));
  for (const { magic, what } of binaries)
    if (begins(magic)) throw new RecordTextError(`${path}: ${what.replaceAll('FILE', path)}`);
  return textLines(path, rest());
}

async function* unpacked(packed: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  const feeding = (async () => {
    for await (const chunk of packed)
      if (!gunzip.write(chunk)) await new Promise((resolve) => gunzip.once('drain', resolve));
    gunzip.end();
  })();
  feeding.catch((error) => gunzip.destroy(error instanceof Error ? error : new Error(String(error))));
  yield* gunzip as AsyncIterable<Buffer>;
}

async function textLines(path: string, chunks: AsyncGenerator<Buffer>): Promise<RecordLines> {
  const lines: string[] = [];
  let decoder: TextDecoder | undefined;
  let pending = '';
  let size = 0;
  const take = (text: string) => {
    size += text.length;
    if (size > longestText)
      throw new RecordTextError(
        `${path}: more than ${longestText} characters: grep -E 'optee_|EVENTS|INFO: task' ${path} | normalworld trace import -`,
      );
    const parts = text.replaceAll('\0', '').split(/\r?\n|\r/);
    // A line may be as long as the file, so truncate it while reading.
    parts[0] = (pending + (parts[0] ?? '')).slice(0, longestLine);
    pending = (parts.pop() ?? '').slice(0, longestLine);
    for (const part of parts) lines.push(part.slice(0, longestLine));
  };
  let torn: string | undefined;
  for await (const chunk of untilTorn(chunks, (why) => (torn = why))) {
    if (decoder === undefined) {
      decoder = new TextDecoder(encodingOf(chunk));
      if (decoder.encoding === 'utf-8' && isBinary(chunk.subarray(0, 4096)))
        throw new RecordTextError(
          `${path}: it is not text: use the output of trace-cmd report, perf script or the kernel's trace file`,
        );
    }
    take(decoder.decode(chunk, { stream: true }));
  }
  if (pending !== '') lines.push(pending);
  return { lines, torn };
}

/** The chunks of a file that may end too early. If nothing comes before that, it throws. */
async function* untilTorn(chunks: AsyncGenerator<Buffer>, tell: (why: string) => void): AsyncGenerator<Buffer> {
  let some = false;
  try {
    for await (const chunk of chunks) {
      some ||= chunk.length > 0;
      yield chunk;
    }
  } catch (error) {
    if (!some || !(error instanceof Error && 'code' in error && error.code === 'Z_BUF_ERROR')) throw error;
    tell('the compressed data ends too early');
  }
}

/** Largest share of zero octets in a text: a serial line adds some when it is switched on or off. */
const fewZeros = 0.05;

function isBinary(head: Buffer): boolean {
  const zeros = head.reduce((count, octet) => (octet === 0 ? count + 1 : count), 0);
  return zeros > head.length * fewZeros;
}

/** The encoding, by its byte order mark, or by the zero octets of UTF-16 text from the kernel. */
function encodingOf(chunk: Buffer): string {
  const [first, second] = chunk;
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  const head = chunk.subarray(0, 256);
  const zeros = (from: number) => head.length >= 16 && head.every((octet, index) => index % 2 !== from || octet === 0);
  if (zeros(1)) return 'utf-16le';
  return zeros(0) ? 'utf-16be' : 'utf-8';
}
