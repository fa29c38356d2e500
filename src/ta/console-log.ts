import { type OptionNames, requireKnownOptions } from '../known-options.js';
import { type ConsoleLine, type ParsedLine, printableLine } from '../worlds/qemu/console-line.js';

const levels = ['error', 'message', 'info', 'debug', 'flow'] as const satisfies readonly ParsedLine['level'][];

export interface ConsoleLogOptions {
  /** Whose lines are kept: `TA` for applications, or their own prefixes, `LD`, `TC` for the core. All when left out. */
  readonly modules?: readonly string[];
  /** The most talkative level that is kept: `flow`, which is all, when left out. */
  readonly level?: ParsedLine['level'];
}

const names: OptionNames<ConsoleLogOptions> = { modules: true, level: true };

/** Lines without OP-TEE's form are kept with what they follow. A test that prints more has lost its way. */
const maxLines = 10_000;

/**
 * Keeps what secure world prints, for whoever wants it later: a test that failed, most of all. Its `add` is made to be the
 * `onConsoleLine` of `qemu`.
 */
export class ConsoleLog {
  private lines: string[] = [];
  private kept = false;

  /** @throws RangeError for a level that is none; TypeError naming an option that is none. */
  constructor(private readonly options: ConsoleLogOptions = {}) {
    requireKnownOptions('ConsoleLog', options, names);
    const { level } = options;
    if (level !== undefined && !levels.includes(level))
      throw new RangeError(`the level "${level}" is not one of ${levels.join(', ')}`);
  }

  readonly add = (line: ConsoleLine): void => {
    this.kept = line.parsed === undefined ? this.kept : this.wants(line.parsed);
    if (!this.kept) return;
    this.lines.push(printableLine(line.text));
    if (this.lines.length > maxLines) this.lines.shift();
  };

  /** What was kept since the last time. */
  take(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  private wants({ module, level }: ParsedLine): boolean {
    const { modules, level: most = 'flow' } = this.options;
    return (modules === undefined || modules.includes(module)) && levels.indexOf(level) <= levels.indexOf(most);
  }
}
