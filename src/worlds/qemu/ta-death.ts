import type { TaPanicReport } from '../../protocol/secure-world.js';
import type { ConsoleLine } from './console-line.js';

/** More lines than the longest dump of a TA's regions and call stack. */
const maxLines = 60;
/** What OP-TEE gives to a TA that aborted: abort handling of core/kernel. */
const abortCode = 0xdead_beef;

/** The first line that OP-TEE's core prints of a TA's death: a panic of its own, or an abort. */
const beginning = /^(?:TA panicked with code (?<code>0x[0-9a-f]+)|User (?:mode|TA) \w+-abort\b)/i;
const statusOf = /Status of TA (?<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/i;

/** After the entries of the call stack, which come last, everything is about something else. */
const stackBegins = /^ *Call stack:/;
const stackEntry = /^ *0x[0-9a-f]+/i;

/** Reads in the console's lines which applications died, of what, and what OP-TEE said of it. */
export class TaDeaths {
  private code = 0;
  private uuid: string | undefined;
  private lines: string[] = [];
  private state: 'none' | 'dump' | 'stack' | 'over' = 'none';
  private isNew = false;

  read({ text, parsed }: ConsoleLine): void {
    const found = parsed?.module === 'TC' ? beginning.exec(parsed.message) : null;
    if (found !== null) {
      const { code } = found.groups ?? {};
      // After an abort OP-TEE says that it panics the TA: that is the same death.
      if (this.state === 'dump' && this.uuid === undefined && code !== undefined) this.add(text);
      else this.lines = [text];
      this.state = 'dump';
      this.code = code === undefined ? abortCode : Number(code);
      this.uuid = undefined;
      return;
    }
    const message = parsed?.message ?? text;
    if (this.state === 'stack' && !stackEntry.test(message)) this.state = 'over';
    if ((this.state !== 'dump' && this.state !== 'stack') || this.lines.length >= maxLines) return;
    // What others print meanwhile, or a build without the dump prints next.
    if (parsed !== undefined && parsed.level !== 'error') return;
    this.add(text);
    if (stackBegins.test(message)) this.state = 'stack';
    // Builds without the dump do not say whose death it is.
    this.uuid ??= statusOf.exec(text)?.groups?.uuid?.toLowerCase();
  }

  /**
   * The death of which something was read since the last time. An interrupt may take the call out of secure world while OP-TEE
   * prints: then it is told again with what came later, and is complete once the call of which it is has returned.
   */
  take(): TaPanicReport | undefined {
    const { code, uuid, lines } = this;
    if (uuid === undefined || !this.isNew) return undefined;
    this.isNew = false;
    return { uuid, code, why: `the secure console says\n${lines.join('\n')}\n` };
  }

  private add(text: string): void {
    this.lines.push(text);
    this.isNew = true;
  }
}
