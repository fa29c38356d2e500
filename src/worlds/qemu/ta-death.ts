import type { TaPanicReport } from '../../protocol/secure-world.js';
import type { ConsoleLine } from './console-line.js';

/** The maximum number of lines; longer than any dump of a TA's regions and call stack. */
const maxLines = 60;
/** The panic code of a TA that aborted: abort handling of core/kernel. */
const abortCode = 0xdead_beef;

/** The first line that OP-TEE's core prints about a TA's death: a panic of the TA, or an abort. */
const beginning = /^(?:TA panicked with code (?<code>0x[0-9a-f]+)|User (?:mode|TA) \w+-abort\b)/i;
const statusOf = /Status of TA (?<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/i;

/** The call stack is the last part of a dump: the first line that is not an entry ends the dump. */
const stackBegins = /^ *Call stack:/;
const stackEntry = /^ *0x[0-9a-f]+/i;

/** Parses the console for deaths of applications: which died, why, and OP-TEE's dump. */
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
      // After an abort OP-TEE also prints that it panics the TA; that is the same death.
      if (this.state === 'dump' && this.uuid === undefined && code !== undefined) this.add(text);
      else this.lines = [text];
      this.state = 'dump';
      this.code = code === undefined ? abortCode : Number(code);
      this.uuid = undefined;
      return;
    }
    // Lines of other threads in between, or the next output of a build without dumps.
    if (parsed !== undefined && parsed.level !== 'error') return;
    const message = parsed?.message ?? text;
    if (this.state === 'stack' && !stackEntry.test(message)) this.state = 'over';
    if ((this.state !== 'dump' && this.state !== 'stack') || this.lines.length >= maxLines) return;
    this.add(text);
    if (stackBegins.test(message)) this.state = 'stack';
    // Builds without dumps do not print the UUID.
    this.uuid ??= statusOf.exec(text)?.groups?.uuid?.toLowerCase();
  }

  /**
   * The death that was parsed since the last call. An interrupt may take the call out of secure world while OP-TEE
   * prints; the death is then returned again with the later lines. It is complete once its call has returned.
   */
  take(): TaPanicReport | undefined {
    const { code, uuid, lines } = this;
    if (uuid === undefined || !this.isNew) return undefined;
    this.isNew = false;
    return { uuid, code, console: [...lines] };
  }

  private add(text: string): void {
    this.lines.push(text);
    this.isNew = true;
  }
}
