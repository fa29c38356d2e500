import { withoutPrefix } from './log-prefix.js';
import { WaitChannels } from './wait-channels.js';

/** The stack of a task that the kernel printed. */
export interface TaskStack {
  readonly pid: number;
  readonly comm: string;
  /** Function names, innermost first. */
  readonly frames: readonly string[];
  /** The kernel's time of the report, in milliseconds; undefined if the lines have none. */
  readonly time: number | undefined;
  /** From the hung-task detector: the task is blocked for longer than this. Milliseconds. */
  readonly blockedMs: number | undefined;
  /** The task that holds what this one waits for, if the kernel named it. */
  readonly ownerPid: number | undefined;
}

type Draft = { -readonly [Field in keyof TaskStack]: TaskStack[Field] } & { frames: string[] };

/** `INFO: task kworker/1:2:88 blocked for more than 120 seconds.` */
const hungTask = /INFO: task (.{1,32}):(\d{1,10}) blocked for more than (\d{1,7}) seconds/;
/** `INFO: task a:88 is blocked on a mutex likely owned by task b:301.` (Linux 6.16) */
const blockedOn =
  /INFO: task .{1,32}:(\d{1,10}) is blocked on an? [\w-]+,? likely .{0,20}(?:owned|held) by (?:task )?.{1,32}:(\d{1,10})/;
const headers: readonly RegExp[] = [
  // `task:kworker/1:2     state:D stack:0     pid:88    tgid:88 ppid:2`
  /^\s*task:(?<comm>.{1,32}?)\s+state:\S+\s+stack:\s*-?\d+\s+pid:\s*(?<pid>\d{1,10})/,
  // `kworker/1:2     D    0    88      2 0x00000028`
  /^\s*(?<comm>\S.{0,31}?)\s+[RSDTtXZPIKW]\s+(?:[0-9a-f]{8,16}\s+|running task\s+)?\d{1,6}\s+(?<pid>\d{1,10})\s+\d{1,10}\s+0x[0-9a-f]+/,
  // From /proc: several stacks printed by `head` or `tail`, or by a loop that prints their paths.
  /^\s*(?:==>\s*)?\/proc\/(?:\d+\/task\/)?(?<pid>\d{1,10})(?:\/stack)?\/?:?(?:\s*<==)?\s*$/,
  // A running task in SysRq-l, a soft lockup or an RCU stall: `CPU: 1 UID: 0 PID: 88 Comm: kworker/1:2 Not tainted`
  /^\s*CPU:\s*\d+\s+(?:UID:\s*\d+\s+)?PID:\s*(?<pid>\d{1,10})\s+Comm:\s*(?<comm>\S.{0,31}?)\s+(?:Not tainted|Tainted:|Kdump:)/,
  // gdb: `Thread 45 (Thread 88):`, also with the name, and `[Switching to thread 45 (Thread 88)]`.
  /^\s*(?:\[Switching to t|T)hread [\d.]+ \((?:Thread (?:0x[0-9a-f]+ \(LWP )?|LWP )(?<pid>\d{1,10})\)?(?:\s*[("](?<comm>[^)"]{1,32})[)"])?/,
  // crash: `PID: 88  TASK: ffff.. CPU: 1 COMMAND: "kworker/1:2"`
  /^\s*PID:\s*(?<pid>\d{1,10})\s+TASK:.*COMMAND:\s*"(?<comm>[^"]{0,32})"/,
];
const frames: readonly RegExp[] = [
  // ` optee_cq_wait_init+0x98/0x140 [optee]`, also without the size, optionally after `[<0>]` or an address. Frames that the kernel is not
  // sure of begin with `? `.
  /^\s*(?:\[<[0-9a-fx]{1,18}>\]\s+)?(?<function>[A-Za-z_][\w.]{0,80})\+0x[0-9a-f]+(?:\/0x[0-9a-f]+)?(?=\s|$)/,
  // Arm, 32 bits: ` schedule from schedule_timeout+0xa4/0x130`
  /^\s*(?:\[<[0-9a-f]{1,16}>\]\s+)?\(?(?<function>[A-Za-z_][\w.]{0,80})(?:\+0x[0-9a-f]+\/0x[0-9a-f]+)?\)? from /,
  // crash: ` #4 [ffff80001234] optee_cq_wait_init at ffff...`; with `-s`, `optee_cq_wait_init+152 at`
  /^\s*#\d+ \[[0-9a-f]{1,16}\] (?<function>[A-Za-z_][\w.]{0,80})(?:\+\d{1,8})? at /,
  // gdb: `#7  0xffff80007a4e11c0 in optee_cq_wait_init (cq=0xffff) at drivers/tee/optee/call.c:98`
  /^\s*#\d+\s+(?:0x[0-9a-f]{1,16} in )?(?<function>[A-Za-z_][\w.]{0,80}) \(/,
  // decode_stacktrace.sh: ` optee_cq_wait_init (drivers/tee/optee/call.c:98)`
  /^\s*(?:\[<[0-9a-f]{1,16}>\]\s+)?(?<function>[A-Za-z_][\w.]{0,80}) \([^\s()]{1,200}\.[chS]:\d{1,6}\b/,
];
/** `grep . /proc/*\/stack`: each line begins with the file's name. */
const named = /^\s*\/proc\/(?:\d+\/task\/)?(?<pid>\d{1,10})\/stack:(?<frame>.*)$/;
/** Lines between a task's header and its frames, or between two frames. */
const between: readonly RegExp[] = [
  /^\s*$/,
  // The kernel.
  /^\s*(?:Call [Tt]race:|Hardware name:|<\/?TASK>|Workqueue:|Not tainted|Tainted:|"echo 0|\?|PC is at|LR is at|Backtrace:|Exception stack)/,
  // crash: registers, and the border of the stack of an interrupt.
  /^\s*(?:\[exception RIP:|[A-Z][A-Z\d_]{1,7}:\s+[0-9a-f]{4,16}\b|--- <)/,
  // gdb: its prompt, source lines, the end of a long line, and variables (`bt full`).
  /^\s*(?:\(gdb\)|--Type <|\d+\t|#\d+\s+<|No locals|(?:at|from) \S+$|\w+ = )/,
];

/** gdb: another thread, which is no task of the kernel. */
const otherThread = /^\s*(?:\[Switching to t|T)hread [-\d.]+ \(/;
/** crash: the frames before it are of the interrupt that stopped the CPU. gdb: the innermost frame is printed again. */
const startsAnew = /^\s*(?:--- <\w+(?: exception)? stack> ---|#0\s+(?:0x[0-9a-f]{1,16} in )?\w+ \()/;

/**
 * Reads stacks of tasks in the formats of the kernel and of crash: the hung-task detector, SysRq-w and SysRq-t,
 * `/proc/PID/stack`, `bt` of crash and of gdb; and what `ps` prints
 * of where tasks wait. If a task's stack occurs several times, the last one is kept.
 */
export class TaskStacks {
  readonly stacks = new Map<number, TaskStack>();
  /** The last time in the text, in milliseconds. */
  lastTime: number | undefined;
  /** Number of frames before which no line names a task. */
  orphans = 0;
  readonly channels = new WaitChannels();
  private current: Draft | undefined;
  private readonly hung = new Map<number, number>();
  private readonly owners = new Map<number, number>();

  /** Process the next line. @returns whether it belongs to a stack. */
  read(line: string): boolean {
    const { text: whole, time } = withoutPrefix(line);
    const { pid: namedPid, frame: text = whole } = named.exec(whole)?.groups ?? {};
    if (namedPid !== undefined && this.current?.pid !== Number(namedPid)) this.begin(Number(namedPid), '', time);
    if (time !== undefined) this.lastTime = time;
    const hung = hungTask.exec(text);
    if (hung !== null) {
      this.end();
      this.hung.set(Number(hung[2]), Number(hung[3]) * 1000);
      return true;
    }
    const owner = blockedOn.exec(text);
    if (owner !== null) {
      this.owners.set(Number(owner[1]), Number(owner[2]));
      return true;
    }
    const waiting = this.channels.read(text);
    if (typeof waiting !== 'boolean') {
      this.begin(waiting.pid, waiting.comm, time);
      this.current?.frames.push(waiting.channel);
    }
    if (waiting !== false) {
      this.end();
      return true;
    }
    for (const header of headers) {
      const { pid, comm = '' } = header.exec(text)?.groups ?? {};
      if (pid === undefined) continue;
      this.begin(Number(pid), comm, time);
      return true;
    }
    if (otherThread.test(text)) {
      this.end();
      return true;
    }
    if (this.current !== undefined && startsAnew.test(text)) this.current.frames.length = 0;
    for (const frame of frames) {
      const name = frame.exec(text)?.groups?.function;
      if (name === undefined) continue;
      if (this.current === undefined) {
        this.orphans++;
        return true;
      }
      // Remove suffixes that compilers add to function names.
      this.current.frames.push(name.replace(/\.(?:isra|constprop|part|cold|llvm)\b.*$/, ''));
      return true;
    }
    if (this.current === undefined) return false;
    if (between.some((line) => line.test(text))) return true;
    this.end();
    return false;
  }

  private begin(pid: number, comm: string, time: number | undefined): void {
    this.end();
    this.current = { pid, comm, frames: [], time, blockedMs: undefined, ownerPid: undefined };
  }

  /** End of the input. */
  end(): void {
    const { current } = this;
    this.current = undefined;
    if (current === undefined || current.frames.length === 0) return;
    const blockedMs = this.hung.get(current.pid);
    this.hung.delete(current.pid);
    const ownerPid = this.owners.get(current.pid);
    this.stacks.set(current.pid, { ...current, blockedMs, ownerPid });
  }
}
