import { largestTimeMs } from '../event.js';
import { type Unprefixed, withoutPrefix } from './log-prefix.js';

/** A line of one of the two tracepoints. */
export interface TracepointLine {
  readonly which: 'begin' | 'end';
  /** In milliseconds. If the clock counts other units, the count is interpreted as microseconds. */
  readonly time: number;
  readonly clock: RecordClock;
  /** The task's name; empty if the kernel no longer knew it (`<...>`). */
  readonly comm: string;
  readonly pid: number;
  /** The address of the call's parameter as printed, which distinguishes the calls of a task. */
  readonly param: string;
  /** The lower 32 bits of the registers: a0..a7 on entry, a0..a3 on return. */
  readonly registers: readonly number[];
}

/**
 * `boot`: the time since the kernel booted, as in the kernel log. `relative`: since the beginning of the record.
 * `count`: the clock does not count time.
 */
export type RecordClock = 'boot' | 'relative' | 'count';

/** The common prefix of the tracepoints' names. */
export const tracepointName = 'optee_invoke_fn_';

/** Number of characters before and after the name that are parsed. */
const reach = 256;
const longestRest = 600;

/** `perf trace` puts the fields in parentheses. */
const namePattern = /^optee_invoke_fn_(begin|end)(?::\s*|\()/;
const printedRegisters = /^param=(\S{1,40}) (?:ret )?\(([0-9a-fx, ]{1,200})\)/i;
/** From trace-cmd without the kernel's event format: the arrays as octets, little-endian. */
const rawRegisters =
  /^(?:\[FAILED TO PARSE\]\s*)?(?:common_\w{1,20}=\S{1,20}\s+){0,8}param=(\S{1,40})\s+(?:args|rets)=ARRAY\[([0-9a-f, ]{1,300})\]/i;
/** Number of registers that each tracepoint prints. */
const registerCount = { begin: 8, end: 4 } as const;

/** @returns the reason if the line names a tracepoint but cannot be parsed. */
export function parseTracepoint(line: string): TracepointLine | string {
  const at = line.indexOf(tracepointName);
  const name = namePattern.exec(line.slice(at, at + 40));
  if (name === null) return 'it names the tracepoint, but does not have its format';
  const which = name[1] === 'begin' ? 'begin' : 'end';
  const rest = line.slice(at + name[0].length, at + longestRest);
  const registers = parseRegisters(rest, which);
  if (typeof registers === 'string') return withoutRegisters(rest) ?? registers;
  const left = line
    .slice(Math.max(0, at - reach), at)
    .replace(/(?:(?<=:)\s+\d{1,20}\s+)?optee[:/]\s*$/, '')
    .replace(/\(\+?[\d.]+\)\s*$/, '');
  const tracer = perfTrace.exec(left)?.groups;
  if (tracer !== undefined) {
    const { time, comm = '', pid = '' } = tracer;
    if (pid === '') return 'there is no task: record all of the system with `perf trace -a`, or use `perf script`';
    return { which, time: Number(time), clock: 'relative', comm, pid: Number(pid), ...registers };
  }
  const stamp = parseTime(left);
  const printed = stamp === undefined ? withoutPrefix(left) : undefined;
  if (printed?.time !== undefined) return fromPrintk(printed, printed.time, { which, ...registers });
  if (stamp === undefined) return 'there is no time before the tracepoint';
  if (!(stamp.time <= largestTimeMs)) return 'its time is invalid';
  const task = parseTask(left.slice(0, stamp.at));
  if (task === undefined)
    return 'there is no task with its number (task-123, or task 123) before the time; `perf script -F` needs comm,tid';
  return { which, time: stamp.time, clock: stamp.clock, ...task, ...registers };
}

/**
 * `   0.112 keystored/301 optee:`, and in older versions `   0.112 (         ): keystored/301 `. Milliseconds since the
 * beginning, or with `-T` of the clock. Without `-a`, the task may be missing.
 */
const perfTrace =
  /^\s*(?<time>\d{1,15}\.\d{3}) (?:\( {0,20}(?:[\d.]{1,20} ms)?\): ?)?(?:(?:(?<comm>\S.{0,15}?)\/)?(?<pid>\d{1,10}) )?$/;

/** The reason if a tool prints the tracepoint without its registers. */
function withoutRegisters(rest: string): string | undefined {
  if (/^param: \S/.test(rest))
    return '`perf trace` prints no registers in this form: use `perf record -e "optee:*"` and `perf script`, or `perf trace --libtraceevent_print`';
  if (/^\s*$/.test(rest))
    return "its parameter and its registers are missing: this perf is built without libtraceevent; use another, or the kernel's trace file";
  return undefined;
}

/** With `tp_printk`, the kernel log has the time, and its caller's number with CONFIG_PRINTK_CALLER. */
function fromPrintk(
  { text, caller }: Unprefixed,
  time: number,
  rest: Pick<TracepointLine, 'which' | 'param' | 'registers'>,
): TracepointLine | string {
  if (text.trim() !== '') return 'there is no time before the tracepoint';
  if (caller === undefined)
    return "there is no task: a kernel with tp_printk prints it only with CONFIG_PRINTK_CALLER; use the kernel's trace file";
  return { ...rest, time, clock: 'boot', comm: '', pid: caller };
}

function parseRegisters(
  text: string,
  which: 'begin' | 'end',
): { readonly param: string; readonly registers: readonly number[] } | string {
  const printed = printedRegisters.exec(text);
  const raw = printed === null ? rawRegisters.exec(text) : null;
  const [, param = '', list = ''] = printed ?? raw ?? [];
  if (param === '') return 'its parameter or its registers are cut off';
  const words = list.split(',').map((word) => word.trim().replace(/^0x/i, ''));
  const registers =
    printed !== null
      ? words.map((word) => (/^[0-9a-f]{1,16}$/i.test(word) ? lower32(word) : Number.NaN))
      : words32(words, which);
  const count = registerCount[which];
  if (raw !== null && registers.length === 0)
    return (
      `its array has ${words.length} octets, not ${count * 4} or ${count * 8}: it is cut off. Use \`trace-cmd report\` without -R ` +
      "on the board that recorded it, or the kernel's trace file"
    );
  if (registers.length !== count || registers.some(Number.isNaN)) return `expected ${count} registers in hexadecimal`;
  return { param: param.toLowerCase(), registers };
}

/** The lower 32 bits of a number of up to 64 bits, from its digits, because a number in JavaScript holds 53 bits. */
const lower32 = (digits: string) => Number.parseInt(digits.slice(-8), 16);

/** Registers from octets: 4 octets each on entry; on return 4, or 8 with a 64-bit kernel. */
function words32(octets: readonly string[], which: 'begin' | 'end'): number[] {
  const size = octets.length / registerCount[which];
  if (size !== 4 && size !== 8) return [];
  return Array.from({ length: registerCount[which] }, (_, register) =>
    Number.parseInt(
      octets
        .slice(register * size, register * size + 4)
        .map((octet) => octet.padStart(2, '0'))
        .reverse()
        .join(''),
      16,
    ),
  );
}

/** The time at the end of the text before the tracepoint's name, and where it begins. */
function parseTime(
  left: string,
): { readonly time: number; readonly clock: RecordClock; readonly at: number } | undefined {
  // `57.123456:`; also with nanoseconds.
  const seconds = /(?<=^|\s)(\d{1,12})\.(\d{1,9}):\s*$/.exec(left);
  if (seconds !== null)
    return { time: Number(seconds[1]) * 1000 + Number(`0.${seconds[2]}`) * 1000, clock: 'boot', at: seconds.index };
  // `57123456us :`, with an optional mark for a long delay: the latency format, used by ftrace_dump_on_oops and
  // SysRq-z.
  const micro = /(?<=^|\s)(\d{1,16})us[^\s\w:]?\s*:\s*$/.exec(left);
  if (micro !== null) return { time: Number(micro[1]) / 1000, clock: 'relative', at: micro.index };
  // `[000000b71b04] 57123.456ms (+0.001ms):`: the latency format with option `verbose`.
  const verbose = /\[[0-9a-f]{1,16}\]\s+(\d{1,16})\.(\d{1,3})ms\s+\(\+[-\d.]+ms\):\s*$/.exec(left);
  if (verbose !== null)
    return { time: Number(verbose[1]) + Number(`0.${verbose[2]}`), clock: 'relative', at: verbose.index };
  // `12000100:` with trace_clock counter, x86-tsc and others.
  const count = /(?<=^|\s)(\d{1,20}):\s*$/.exec(left);
  return count === null ? undefined : { time: Number(count[1]) / 1000, clock: 'count', at: count.index };
}

/** The columns between task name and time, by producer. */
const taskForms: readonly RegExp[] = [
  // The kernel's trace file and trace-cmd: `task-301 (  301) [000] d..2.`; group and flags may be missing.
  /-(?<pid>\d{1,10})\s+(?:\(\s*(?:\d+|-+)\s*\)\s+)?\[\d{1,5}\](?:\s+\S{1,10})?\s*$/,
  // perf script: `task   301/301 [000] d..2.`
  /\s(?<process>\d{1,10})(?:\/(?<pid>\d{1,10}))?\s+\[\d{1,5}\](?:\s+\S{1,10})?\s*$/,
  // The latency format: `task-301     0d..2.`
  /-(?<pid>\d{1,10})\s+\d{1,5}[a-z.~#][^\s]{2,7}\s*$/i,
  // The latency format with `verbose`: `task 301 0 0 00000000 00000001`.
  /\s(?<pid>\d{1,10})\s+\d{1,5}\s+\d{1,5}\s+[0-9a-f]{8}\s+[0-9a-f]{8}\s*$/,
  // Without a CPU: perf script with custom fields.
  /[\s-](?<process>\d{1,10})(?:\/(?<pid>\d{1,10}))?\s*$/,
];

function parseTask(left: string): { readonly comm: string; readonly pid: number } | undefined {
  for (const form of taskForms) {
    const match = form.exec(left);
    const pid = match?.groups?.pid ?? match?.groups?.process;
    if (match !== null && pid !== undefined) return { comm: commOf(left.slice(0, match.index)), pid: Number(pid) };
  }
  return undefined;
}

/** The kernel pads a task's name (at most 15 characters) to this width. */
const commColumns = 16;

/** The task's name at the end of a text, without what a logger put before it. */
function commOf(text: string): string {
  const field = withoutPrefix(text.trimEnd()).text;
  const columns = field.slice(-commColumns);
  const name = field.trim().length < commColumns || columns.startsWith(' ') ? columns.trim() : lastWord(columns);
  return name === '<...>' ? '' : name;
}

/** After an unknown prefix, columns are no longer aligned, so take the last word. */
const lastWord = (text: string) => /\S*$/.exec(text)?.[0] ?? text;
