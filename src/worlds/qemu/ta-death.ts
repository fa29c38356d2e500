import type { TaPanicReport } from '../../protocol/secure-world.js';
import type { ConsoleLine } from './console-line.js';

/** More lines than the longest dump of a TA's regions and call stack. */
const maxLines = 60;
/** What OP-TEE gives to a TA that aborted: abort handling of core/kernel. */
const abortCode = 0xdead_beef;

/** The first line that OP-TEE's core prints of a TA's death: a panic of its own, or an abort. */
const beginning = /^(?:TA panicked with code (?<code>0x[0-9a-f]+)|User (?:mode|TA) \w+-abort\b)/i;
const statusOf = /Status of TA (?<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/i;

/** Reads in the console's lines which applications died, of what, and what OP-TEE said of it. */
export class TaDeaths {
  private code = 0;
  private uuid: string | undefined;
  private lines: string[] | undefined;

  read({ text, parsed }: ConsoleLine): void {
    const found = parsed?.module === 'TC' ? beginning.exec(parsed.message) : null;
    if (found !== null) {
      const { code } = found.groups ?? {};
      // After an abort OP-TEE says that it panics the TA: that is the same death.
      if (this.lines !== undefined && this.uuid === undefined && code !== undefined) this.lines.push(text);
      else this.lines = [text];
      this.code = code === undefined ? abortCode : Number(code);
      this.uuid = undefined;
      return;
    }
    if (this.lines === undefined || this.lines.length >= maxLines) return;
    this.lines.push(text);
    // Builds without the dump do not say whose death it is.
    this.uuid ??= statusOf.exec(text)?.groups?.uuid?.toLowerCase();
  }

  /** The death that was read since the last time; complete, once the call of which it is has returned. */
  take(): TaPanicReport | undefined {
    const { code, uuid, lines } = this;
    if (uuid === undefined || lines === undefined) return undefined;
    this.lines = undefined;
    this.uuid = undefined;
    return { uuid, code, why: `the secure console says\n${lines.join('\n')}\n` };
  }
}
