import { type ConsoleLine, parseConsoleLine } from './console-line.js';

/** The number of last lines in an error: about one screen. */
const tailLines = 30;
/** A longer line is split here, so that the other world cannot make this process buffer without limit. */
const maxLineLength = 4096;

/** Splits the console output into lines, keeps the last ones, and passes each to a listener. */
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

  /** The last lines, for errors. */
  get tail(): string {
    return [...this.kept, ...(this.partial === '' ? [] : [this.partial])].join('\n');
  }
}
