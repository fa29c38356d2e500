/** A line of a text, or a piece of a very long line. */
export interface LinePiece {
  readonly text: string;
  /** Whether it is the beginning of the line. */
  readonly begins: boolean;
  /** The line end: `\n` or `\r\n`; empty if the line continues, or the text ends without one. */
  readonly ending: string;
}

/** Largest piece of a line in characters; lines of people and kernels are shorter. */
const longestPiece = 65_536;

/**
 * The lines of a UTF-8 stream as they arrive; together they are the whole text. Memory use is limited to one piece, even
 * for lines of any length.
 */
export async function* linePieces(input: AsyncIterable<Uint8Array>, longest = longestPiece): AsyncGenerator<LinePiece> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let rest = '';
  let begins = true;
  for await (const chunk of input) {
    const text = rest + decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const ending = end > start && text[end - 1] === '\r' ? '\r\n' : '\n';
      yield { text: text.slice(start, end + 1 - ending.length), begins, ending };
      begins = true;
      start = end + 1;
    }
    rest = text.slice(start);
    if (rest.length <= longest) continue;
    yield { text: rest, begins, ending: '' };
    begins = false;
    rest = '';
  }
  rest += decoder.decode();
  if (rest !== '') yield { text: rest, begins, ending: '' };
}
