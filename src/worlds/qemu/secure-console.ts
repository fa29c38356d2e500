/** A line of OP-TEE's secure console. */
export interface ConsoleLine {
  /** The line as it came, without its end. */
  readonly text: string;
  /** Set when the line has OP-TEE's form; a line without it (a dump, a library's output) has `text` alone. */
  readonly parsed: ParsedLine | undefined;
}

export interface ParsedLine {
  readonly level: 'error' | 'info' | 'debug' | 'flow';
  /** `TC` for the core, `TA` or a TA's own prefix, `LD` for the TA loader. */
  readonly module: string;
  /** Number of the CPU; undefined when OP-TEE could not tell (`?`) or did not. */
  readonly cpu: number | undefined;
  /** Number of the thread context the core was on, if any. */
  readonly thread: number | undefined;
  /** Where in OP-TEE's source, for debug and flow messages and errors. */
  readonly function: string | undefined;
  readonly line: number | undefined;
  readonly message: string;
}

// trace_printf() in lib/libutils/ext/trace.c of OP-TEE/optee_os: "E/TC:0 1 function:123 message".
const form =
  /^(?<level>[EIDF])\/(?<module>[^:]+):(?<cpu>\?|\d+)?(?: (?<thread>\d+))? *(?:(?<function>\w+):(?<line>\d+) )?(?<message>.*)$/;
const levels = { E: 'error', I: 'info', D: 'debug', F: 'flow' } as const;

export function parseConsoleLine(text: string): ConsoleLine {
  const found = form.exec(text)?.groups;
  const level = levels[(found?.level ?? '') as keyof typeof levels];
  if (found === undefined || level === undefined) return { text, parsed: undefined };
  const number = (value: string | undefined) => (value === undefined || value === '?' ? undefined : Number(value));
  return {
    text,
    parsed: {
      level,
      module: found.module ?? '',
      cpu: number(found.cpu),
      thread: number(found.thread),
      function: found.function,
      line: number(found.line),
      message: found.message ?? '',
    },
  };
}

/** Whether OP-TEE's core says that it panicked: __do_panic() in core/kernel/panic.c. A TA's panic reads differently. */
export function isCorePanic({ parsed }: ConsoleLine): boolean {
  return parsed?.module === 'TC' && parsed.level === 'error' && /^Panic( '.*')? at /.test(parsed.message);
}

const tailLines = 30;
/** A line without an end is cut here: the other world does not decide how much we keep. */
const maxLineLength = 4096;

/** Splits the console's bytes into lines, keeps the last ones, and tells a listener each. */
export class SecureConsole {
  private partial = '';
  private readonly lines: string[] = [];

  constructor(private readonly listener: (line: ConsoleLine) => void) {}

  write(text: string): void {
    const pieces = (this.partial + text).split('\n');
    this.partial = pieces.pop() ?? '';
    if (this.partial.length > maxLineLength) {
      pieces.push(this.partial);
      this.partial = '';
    }
    for (const piece of pieces) {
      const line = parseConsoleLine(piece.replace(/\r$/, ''));
      this.lines.push(line.text);
      if (this.lines.length > tailLines) this.lines.shift();
      this.listener(line);
    }
  }

  /** The last lines, for an error. */
  get tail(): string {
    return [...this.lines, ...(this.partial === '' ? [] : [this.partial])].join('\n');
  }
}
