import { type ConsoleLine, parseConsoleLine } from './console-line.js';

/** For an error: what fits on a screen. */
const tailLines = 30;
/** A line without an end is cut here: the other world does not decide how much we keep. */
const maxLineLength = 4096;

/** Splits the console's bytes into lines, keeps the last ones, and tells a listener each. */
export class SecureConsole {
  private partial = '';
  private readonly kept: string[] = [];

  constructor(private readonly listener: (line: ConsoleLine) => void) {}

  write(text: string): void {
    const pieces = (this.partial + text).split('\n');
    this.partial = pieces.pop() ?? '';
    if (this.partial.length > maxLineLength) {
      pieces.push(this.partial);
      this.partial = '';
    }
    for (const piece of pieces) {
      const line = parseConsoleLine(piece.replace(/\r+$/, ''));
      this.kept.push(line.text);
      if (this.kept.length > tailLines) this.kept.shift();
      this.listener(line);
    }
  }

  /** The last lines, for an error. */
  get tail(): string {
    return [...this.kept, ...(this.partial === '' ? [] : [this.partial])].join('\n');
  }
}
