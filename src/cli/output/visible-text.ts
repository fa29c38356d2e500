/**
 * Control sequences of this program: erase the line and begin it again, or clear the screen. They are only accepted at
 * the beginning of a write.
 */
const orders = ['\x1b[2K\r', '\r\x1b[K', '\x1b[H\x1b[2J'] as const;

/** Colours and weights: Select Graphic Rendition. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const colour = /\x1b\[[0-9;]*m/y;
/** Control characters except line feed and tab. A carriage return before a line feed is removed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /\r(?=\n)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/g;

/** What is not sanitised. */
export interface Passes {
  /** The output is a terminal: the program's own control sequences are kept. */
  readonly terminal: boolean;
  /** Colours are kept: the text contains nothing from outside, or is sanitised already. */
  readonly colours: boolean;
}

/** Make control characters visible (`\x1b[2J`), except those that are kept. */
export function visibleText(text: string, { terminal, colours }: Passes): string {
  const order = terminal ? (orders.find((each) => text.startsWith(each)) ?? '') : '';
  const rest = text.slice(order.length);
  const visible = rest.replace(control, (found, at: number) => {
    colour.lastIndex = at;
    if (found === '\x1b' && colours && colour.test(rest)) return found;
    return found === '\r' && rest[at + 1] === '\n' ? '' : `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return order + visible;
}
