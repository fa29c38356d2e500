/** Orders of the program's own: erase this line and begin it anew, or the whole screen. A piece of output begins with them. */
const orders = ['\x1b[2K\r', '\r\x1b[K', '\x1b[H\x1b[2J'] as const;

/** Colours and weights: Select Graphic Rendition. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const colour = /\x1b\[[0-9;]*m/y;
/** Everything that a terminal may take for an order, but line feeds and tabs; the return ahead of a line feed says nothing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /\r(?=\n)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/g;

/** What of a text reaches the output. */
export interface Passes {
  /** The output is a terminal: the program's own orders pass. */
  readonly terminal: boolean;
  /** Colours pass: nothing from outside is in the text, or it is clean already. */
  readonly colours: boolean;
}

/** A text in which nothing is an order to a terminal but what may pass; the others can be read: `\x1b[2J`. */
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
