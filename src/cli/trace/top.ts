import { constants } from 'node:os';
import type { Command } from 'commander';
import { machineClock, sleep } from '../../clock/clock.js';
import { namingFile } from '../../files/name-file-in-errors.js';
import { TracepointsError } from '../../linux/kernel-tracepoints.js';
import { TraceFormatError } from '../../trace/nwt/trace-reader.js';
import { callsPerSecond } from '../../trace/timeline/calls-per-second.js';
import { badUsage } from '../output/exit-code.js';
import { outputWidth } from '../output/print-report.js';
import { type Shown, screenJson, screenLines } from './top-screen.js';
import { FileSource, KernelSource, type TopSource } from './top-sources.js';

interface TopOptions {
  readonly interval: string;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly device?: boolean | string;
  readonly tracefs?: string;
}

/** Longest interval between two screens, in seconds: a day. */
const longestInterval = 86_400;
/** Interval of reading new events, in milliseconds; the kernel's buffer is small. */
const readEveryMs = 100;
/** Lines of a screen if the terminal's height is unknown. */
const defaultRows = 24;

export function addTopCommand(program: Command): void {
  program
    .command('top')
    .summary('follow a program that records a trace, or a board: threads, queue, rates')
    .description(
      'Follows the trace that a running program writes (the `trace` option of `openTee`, or `run --trace`) and shows, ' +
        'live: calls per second since the last update and on average, threads in use, calls that sleep in the queue and for how long, the RPC of each call. ' +
        "With --device, it shows the calls of all programs on this machine, from the tracepoints of Linux's driver, which it " +
        "enables while it runs. With both, it shows the program's calls and the kernel's. Ctrl-C ends it.",
    )
    .argument('[file]', 'trace (.nwt) of a running program')
    .option('--device [path]', "show the calls of Linux's driver (default device: /dev/tee0); requires root")
    .option('--tracefs <folder>', 'with --device: where tracefs is mounted (default: /sys/kernel/tracing)')
    .option('-i, --interval <seconds>', 'time between updates', '1')
    .option('--once', 'show the current state and exit')
    .option('--json', 'print one JSON object per update, each on its own line')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by Ctrl-C, or --once
  1  the tracepoints cannot be used; the message says why
  2  bad usage, or a file that is not a trace

Examples:
  $ normalworld top out.nwt
  $ normalworld top out.nwt --once --json | jq .asleep
  $ sudo normalworld top --device
  $ sudo normalworld top out.nwt --device`,
    )
    .action(top);
}

async function top(file: string | undefined, options: TopOptions): Promise<void> {
  const { interval, once, json } = options;
  const mistake = mistakeIn(file, options);
  if (mistake !== undefined) {
    console.error(`error: ${mistake}`);
    process.exitCode = badUsage;
    return;
  }
  const sources: TopSource[] = [];
  const close = () => {
    for (const source of sources.splice(0)) source[Symbol.dispose]();
  };
  // Disable the tracepoints, however the command ends.
  process.once('exit', close);
  process.once('SIGINT', () => process.exit(0));
  for (const signal of ['SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  try {
    if (file !== undefined) sources.push(new FileSource(file));
    if (options.device !== undefined) sources.push(new KernelSource(options.tracefs));
    for (const source of sources) source.read();
    let before = sources.map(({ state, now }) => ({ ended: state.ended, now }));
    for (let screen = 0; ; screen++) {
      if (screen > 0 || !once) await readFor(sources, Number(interval) * 1000);
      const shown = sources.map((source, index): Shown => {
        const { state, now } = source;
        const last = before[index] ?? { ended: 0, now };
        if (screen === 0 && once) return { source, now };
        return { source, now, recent: callsPerSecond(state.ended - last.ended, now - last.now) };
      });
      before = shown.map(({ source, now }) => ({ ended: source.state.ended, now }));
      if (json) console.log(JSON.stringify(screenJson(shown)));
      else show(shown);
      if (once) return;
    }
  } catch (error) {
    tell(error, file ?? '');
  } finally {
    close();
    process.off('exit', close);
  }
}

function mistakeIn(file: string | undefined, { interval, device, tracefs }: TopOptions): string | undefined {
  const seconds = Number(interval);
  if (!(seconds >= 0.1 && seconds <= longestInterval))
    return `--interval ${interval}: must be a number of seconds from 0.1 to ${longestInterval}`;
  if (file === undefined && device === undefined) return 'a trace file or --device is required';
  if (typeof device === 'string' && !/^\/dev\/tee\d+$/.test(device))
    return `--device ${device}: a device is /dev/teeN; put a trace file before --device`;
  return tracefs === undefined || device !== undefined ? undefined : '--tracefs requires --device';
}

async function readFor(sources: readonly TopSource[], ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= readEveryMs) {
    await sleep(machineClock, Math.min(left, readEveryMs));
    for (const source of sources) source.read();
  }
}

function show(shown: readonly Shown[]): void {
  const { stdout } = process;
  if (stdout.isTTY) stdout.write('\x1b[H\x1b[2J');
  // A serial line or a container may have a terminal of size 0.
  const rows = stdout.rows || defaultRows;
  console.log(screenLines(shown, rows - 1, outputWidth()).join('\n'));
}

function tell(error: unknown, path: string): void {
  if (error instanceof TracepointsError) {
    console.error(`normalworld: ${error.message}`);
    process.exitCode = 1;
    return;
  }
  if (!(error instanceof TraceFormatError) && !(error instanceof Error && 'syscall' in error)) throw error;
  console.error(
    error instanceof TraceFormatError ? `${path}: ${error.message}` : (namingFile(path, error) as Error).message,
  );
  process.exitCode = badUsage;
}
