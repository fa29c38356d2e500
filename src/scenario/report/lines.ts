/** Terminal colours; those of the timeline page for the same meaning. */
const escapes = {
  bold: '1',
  dim: '2',
  red: '31',
  green: '32',
  yellow: '33',
  blue: '34',
  magenta: '35',
} as const;
export type Escape = keyof typeof escapes;

export type Paint = (text: string, ...how: Escape[]) => string;

export function painter(colour: boolean): Paint {
  return (text, ...how) =>
    !colour || how.length === 0 || text === ''
      ? text
      : `\x1b[${how.map((name) => escapes[name]).join(';')}m${text}\x1b[0m`;
}

/** Wrap a sentence. A sentence that belongs to the one before it is indented further. */
export function explained(sentence: string, width: number): string[] {
  const text = sentence.trimStart();
  const further = ' '.repeat(sentence.length - text.length);
  return wrapped(text, width - further.length, '  ').map((line) => further + line);
}

/** Wrap a text to a width; all lines but the first are indented. A longer word is broken. */
export function wrapped(text: string, width: number, hanging = ''): string[] {
  const lines: string[] = [];
  let line = '';
  const room = () => width - (lines.length === 0 ? 0 : hanging.length);
  const end = () => {
    lines.push(lines.length === 0 ? line : hanging + line);
    line = '';
  };
  for (let word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > room()) end();
    else if (line !== '') line += ' ';
    while (word.length > room()) {
      line = word.slice(0, room());
      word = word.slice(line.length);
      end();
    }
    line += word;
  }
  end();
  return lines;
}
