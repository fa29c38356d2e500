/** A line of OP-TEE's secure console. */
export interface ConsoleLine {
  /** The line as received, without its line end. */
  readonly text: string;
  /** Undefined for a line that does not have OP-TEE's form, such as a dump or the output of a library. */
  readonly parsed: ParsedLine | undefined;
}

/** The parts of a console line in OP-TEE's form. */
export interface ParsedLine {
  /** `message` is printed at every log level. */
  readonly level: 'error' | 'info' | 'debug' | 'flow' | 'message';
  /** `TC` for the core, `TA` or a TA's own prefix, `LD` for the TA loader. */
  readonly module: string;
  /** Number of the CPU; undefined if OP-TEE printed `?` or nothing. */
  readonly cpu: number | undefined;
  /** Number of the thread context that the core ran in, if any. */
  readonly thread: number | undefined;
  /** The place in OP-TEE's source, for debug and flow messages and errors. */
  readonly function: string | undefined;
  readonly line: number | undefined;
  readonly message: string;
}

/**
 * trace_printf() in lib/libutils/ext/trace.c of OP-TEE/optee_os: "E/TC:0 1 function:123 message". CPU and thread have
 * as many digits, or question marks, as the highest number. A prefix of a vendor's console, usually a time stamp, is
 * skipped.
 */
const form =
  /^.{0,64}?(?<![\w/])(?<level>[EIDFM])\/(?<module>[^:/]{1,32}):(?:(?<cpu>\?{1,3}|\d{1,4})(?: (?<thread>\d{1,4})(?= |$))?)? *(?:(?<function>\w+):(?<line>\d+) )?(?<message>.*)$/;
/** The form up to OP-TEE 2.4: "DEBUG:   [0x0] TEE-CORE:function:123: message". */
const olderForm =
  /^.{0,64}?(?<level>ERROR|INFO|DEBUG|FLOW|MESSAGE):\s+(?:\[(?<cpu>0x[0-9a-f]+)\] )?(?<module>[A-Z][\w-]*):(?:(?<function>\w+):(?<line>\d+):)? ?(?<message>.*)$/;
/** A panic in that form: "PANIC: function file:123". */
const olderPanic = /^.{0,64}?\bPANIC: (?<message>.*)$/;

const levels = { E: 'error', I: 'info', D: 'debug', F: 'flow', M: 'message' } as const;

/** Terminal escape sequences (ECMA-48), and other control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])|[\x00-\x08\x0b-\x1f\x7f]/g;

/** A line without terminal escape sequences and control characters. */
export function printableLine(text: string): string {
  return text.replace(controls, '');
}

export function parseConsoleLine(text: string): ConsoleLine {
  const plain = printableLine(text);
  const found = form.exec(plain)?.groups ?? olderForm.exec(plain)?.groups;
  const level = levels[(found?.level ?? '')[0] as keyof typeof levels];
  if (found === undefined || level === undefined) {
    const panic = olderPanic.exec(plain)?.groups;
    if (panic === undefined) return { text, parsed: undefined };
    const nowhere = { cpu: undefined, thread: undefined, function: undefined, line: undefined };
    return { text, parsed: { level: 'error', module: 'TC', ...nowhere, message: `Panic at ${panic.message}` } };
  }
  const number = (value: string | undefined) =>
    value === undefined || value.startsWith('?') ? undefined : Number(value);
  const module = found.module ?? '';
  return {
    text,
    parsed: {
      level,
      module: module === 'TEE-CORE' ? 'TC' : module,
      cpu: number(found.cpu),
      thread: number(found.thread),
      function: found.function,
      line: number(found.line),
      message: found.message ?? '',
    },
  };
}

/**
 * Whether the line reports a panic of OP-TEE's core: __do_panic() in core/kernel/panic.c. A release build prints place
 * and reason only if configured. The line of a TA's panic has another form.
 */
export function isCorePanic({ parsed }: ConsoleLine): boolean {
  return parsed?.module === 'TC' && parsed.level === 'error' && /^Panic( '.*')?( at .*)?\s*$/.test(parsed.message);
}
