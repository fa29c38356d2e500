/** A line of a text, or a piece of a line that is too long to be held. */
export interface LinePiece {
  readonly text: string;
  /** Whether the line begins with it. */
  readonly begins: boolean;
  /** What ends the line: `\n`, `\r\n`; empty when it goes on, or the text ends without one. */
  readonly ending: string;
}

/** Longer than a line that people or kernels write. Characters. */
const longestPiece = 65_536;

/**
 * The lines of a stream of UTF-8, as they come; together they are the whole text. A line of any length costs the memory of
 * one piece.
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
