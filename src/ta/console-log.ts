import { type OptionNames, requireKnownOptions } from '../known-options.js';
import { type ConsoleLine, type ParsedLine, printableLine } from '../worlds/qemu/console-line.js';

const levels = ['error', 'message', 'info', 'debug', 'flow'] as const satisfies readonly ParsedLine['level'][];

/** Options of `ConsoleLog`. */
export interface ConsoleLogOptions {
  /** The prefixes to keep: `TA` for applications or their own prefixes, `LD`, `TC` for the core. Default: all. */
  readonly modules?: readonly string[];
  /** The most verbose level to keep. Default: `flow`, which is all. */
  readonly level?: ParsedLine['level'];
}

const names: OptionNames<ConsoleLogOptions> = { modules: true, level: true };

/** The maximum number of kept lines; older ones are dropped. It bounds the memory that a runaway test needs. */
const maxLines = 10_000;

/**
 * Keeps the console output of secure world for later use, mostly for the report of a failed test. Pass its `add` as the
 * option `onConsoleLine` of `qemu`.
 */
export class ConsoleLog {
  private lines: string[] = [];
  private kept = false;

  /** @throws RangeError for an unknown level; TypeError naming an unknown option. */
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

  /** The lines since the last call. */
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
