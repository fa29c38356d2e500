/** A task and the function in which it waits, from a line of `ps`. */
export interface WaitingTask {
  readonly pid: number;
  readonly comm: string;
  readonly channel: string;
}

interface Columns {
  readonly count: number;
  readonly pid: number;
  readonly channel: number;
  readonly comm: number;
  /** The task's name is the last column, and may contain blanks. */
  readonly commIsLast: boolean;
}

/** `grep . /proc/*\/wchan`: `/proc/88/wchan:optee_cq_wait_for_completion` */
const procLine = /^\s*\/proc\/(?:\d{1,10}\/task\/)?(?<pid>\d{1,10})\/wchan:(?<channel>\w{1,80})\s*$/;

/** Names of the column with a task's number; that of a thread is preferred. */
const pidNames: readonly string[] = ['TID', 'LWP', 'SPID', 'PID'];
const commNames: readonly string[] = ['COMMAND', 'COMM', 'CMD'];
/** ps prints this many characters of a channel if no width is requested. */
const defaultWidth = 6;

/**
 * Reads lines of `/proc/PID/wchan`, and a table of `ps` with the column WCHAN: the function of the kernel in which each task waits. Lines of the table
 * follow its head.
 */
export class WaitChannels {
  private columns: Columns | undefined;
  /** Number of channels that are cut off, and of tasks without one. */
  cutOff = 0;
  empty = 0;
  tasks = 0;
  /** A channel is longer than the default width. */
  private wide = false;

  /** @returns the task of a line, or whether the line belongs to a table. */
  read(line: string): WaitingTask | boolean {
    const proc = line.includes('/wchan:') ? procLine.exec(line)?.groups : undefined;
    if (proc?.pid !== undefined && proc.channel !== undefined)
      return /^\d/.test(proc.channel) || { pid: Number(proc.pid), comm: '', channel: proc.channel };
    if (this.columns === undefined && !line.includes('WCHAN')) return false;
    const words = line.trim().split(/\s+/);
    if (words.includes('WCHAN')) {
      const find = (names: readonly string[]) => words.findIndex((word) => names.includes(word));
      const pid = pidNames.map((name) => words.indexOf(name)).find((index) => index >= 0) ?? -1;
      const comm = find(commNames);
      const columns = { count: words.length, pid, channel: words.indexOf('WCHAN'), comm };
      this.columns = pid < 0 ? undefined : { ...columns, commIsLast: comm === words.length - 1 };
      return this.columns !== undefined;
    }
    const { columns } = this;
    if (columns === undefined) return false;
    const pid = words[columns.pid] ?? '';
    if (words.length < columns.count || !/^\d{1,10}$/.test(pid)) {
      this.columns = undefined;
      return false;
    }
    const channel = words[columns.channel] ?? '';
    const name = columns.commIsLast ? words.slice(columns.comm).join(' ') : (words[columns.comm] ?? '');
    if (!/^[A-Za-z_][\w.]*$/.test(channel)) {
      this.empty++;
      return true;
    }
    this.wide ||= channel.length > defaultWidth;
    // The names of functions in which tasks wait for OP-TEE are longer.
    if (!this.wide && channel.length === defaultWidth) {
      this.cutOff++;
      return true;
    }
    this.tasks++;
    // Kernel threads are in brackets in the column CMD.
    return { pid: Number(pid), comm: name.replace(/^\[(.*)\]$/, '$1'), channel };
  }

  /** What to do if the channels cannot be used. */
  *notes(): Generator<string> {
    const how = 'use `ps -eo pid,wchan:40,comm` as root';
    if (this.cutOff > 0 && !this.wide) yield `the WCHAN column of ps is cut off: ${how}`;
    else if (this.empty > 0 && this.tasks === 0) yield `the WCHAN column of ps is empty: ${how}`;
  }
}
