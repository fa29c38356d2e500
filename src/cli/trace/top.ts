import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Command } from 'commander';
import { machineClock, sleep } from '../../clock/clock.js';
import { namingFile } from '../../files/name-file-in-errors.js';
import { LiveState } from '../../trace/live-state.js';
import { TraceFormatError, TraceReader } from '../../trace/nwt/trace-reader.js';
import { badUsage } from '../output/exit-code.js';
import { folded, outputWidth, reportTable } from '../output/print-report.js';
import { ms } from './trace-report.js';

interface TopOptions {
  readonly interval: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

/** Bytes read at once. */
const pieceSize = 1 << 20;
/** Seconds between two screens at most: a day. */
const longestInterval = 86_400;
/** A program of which nothing comes for so long is said to be quiet. */
const quietNotedMs = 3000;
/** Calls that are shown however low the terminal is. */
const fewestCalls = 3;
/** Lines of a screen when the terminal does not say how high it is. */
const defaultRows = 24;

export function addTopCommand(program: Command): void {
  program
    .command('top')
    .summary('follow a program that records a trace: threads, queue, rates')
    .description(
      'Follows the trace that a running program writes (the `trace` option of `openTee`, or `run --trace`) and shows, ' +
        'live: calls a second, threads in use, who sleeps in the queue and for how long, which RPC a call sits in. ' +
        'Ends with Ctrl-C.',
    )
    .argument('<file>', 'trace (.nwt) that is being written')
    .option('-i, --interval <seconds>', 'time between two screens', '1')
    .option('--once', 'show what there is now and end')
    .option('--json', 'print one JSON object a screen, each on a line')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by Ctrl-C, or --once
  2  bad usage, or a file that is no trace

Examples:
  $ normalworld top out.nwt
  $ normalworld top out.nwt --once --json | jq .asleep`,
    )
    .action(top);
}

async function top(path: string, { interval, once, json }: TopOptions): Promise<void> {
  const seconds = Number(interval);
  if (!(seconds >= 0.1 && seconds <= longestInterval)) {
    console.error(`error: --interval ${interval}: it is a number of seconds, 0.1 to ${longestInterval}`);
    process.exitCode = badUsage;
    return;
  }
  process.once('SIGINT', () => process.exit(0));
  const state = new LiveState();
  let follower: Follower | undefined;
  try {
    follower = new Follower(path, state);
    follower.read();
    // One screen shows the rate of the whole run, the others that since the last.
    let before = once ? { ended: 0, now: state.begin } : { ended: state.ended, now: nowIn(state, follower.quietMs) };
    for (let screen = 0; ; screen++) {
      if (screen > 0 || !once) {
        await sleep(machineClock, seconds * 1000);
        follower.read();
      }
      const { quietMs } = follower;
      const now = nowIn(state, quietMs);
      const rate = now > before.now ? ((state.ended - before.ended) * 1000) / (now - before.now) : 0;
      before = { ended: state.ended, now };
      if (json) console.log(JSON.stringify(screenJson(state, rate, now, quietMs)));
      else {
        const { stdout } = process;
        if (stdout.isTTY) stdout.write('\x1b[H\x1b[2J');
        // A serial line or a container may have a terminal of no size.
        const rows = stdout.rows || defaultRows;
        console.log(screenLines(state, rate, path, rows - 1, outputWidth(), now, quietMs).join('\n'));
      }
      if (once) return;
    }
  } catch (error) {
    if (!(error instanceof TraceFormatError) && !(error instanceof Error && 'syscall' in error)) throw error;
    console.error(
      error instanceof TraceFormatError ? `${path}: ${error.message}` : (namingFile(path, error) as Error).message,
    );
    process.exitCode = badUsage;
  } finally {
    follower?.close();
  }
}

/**
 * The time at this moment on the clock of the trace: a program that hangs writes nothing, and its calls hang on. Virtual time
 * stands still where nothing happens.
 */
function nowIn(state: LiveState, quietMs: number): number {
  return state.subject.clock === 'virtual' ? state.time : state.time + quietMs;
}

/** Reads what is added to a trace file. */
class Follower {
  private readonly fd: number;
  private readonly reader: TraceReader;
  private readonly piece = new Uint8Array(pieceSize);
  private at = 0;

  constructor(path: string, state: LiveState) {
    this.fd = openSync(path, 'r');
    this.reader = new TraceReader(state);
  }

  read(): void {
    for (;;) {
      const size = readSync(this.fd, this.piece, 0, pieceSize, this.at);
      if (size === 0) return;
      this.at += size;
      this.reader.push(this.piece.subarray(0, size));
    }
  }

  /** For how long nothing has been written, by whom ever: also before this command began. */
  get quietMs(): number {
    return Math.max(0, Date.now() - fstatSync(this.fd).mtimeMs);
  }

  close(): void {
    closeSync(this.fd);
  }
}

function screenJson(state: LiveState, rate: number, now: number, quietMs: number) {
  const calls = [...state.calls.values()];
  return {
    ...state.subject,
    time: state.time,
    /** The same clock at this moment, and for how long nothing has been written. */
    now,
    quietMs: Math.round(quietMs),
    ended: state.ended,
    callsPerSecond: Math.round(rate),
    inSecureWorld: calls.filter(({ inside }) => inside).length,
    asleep: calls.filter(({ asleep }) => asleep).length,
    ethreadLimit: state.threadLimits,
    calls: calls.map(({ call, client, since, doing, thread }) => ({
      call,
      client,
      sinceMs: since,
      forMs: now - since,
      doing,
      thread,
    })),
  };
}

/** A screen. @param rows lines that there are for it. */
function screenLines(
  state: LiveState,
  rate: number,
  path: string,
  rows: number,
  width: number,
  now: number,
  quietMs: number,
): string[] {
  const { subject } = state;
  const calls = [...state.calls.values()];
  const inside = calls.filter((call) => call.inside).length;
  const asleep = calls.filter((call) => call.asleep).length;
  const threads = subject.threads ?? 0;
  const bar = threads === 0 ? `${inside}` : `[${'#'.repeat(inside).padEnd(threads, '.')}] ${inside} of ${threads}`;
  const head = [
    `${path}: ${[subject.title, subject.world, subject.queue].filter(Boolean).join(', ')}`,
    `${Math.round(rate)} calls/s, ended ${state.ended}, RPCs ${state.rpcs}, in ${ms(now - state.begin || 0)}`,
    `threads ${bar}, asleep in the queue ${asleep}, ETHREAD_LIMIT ${state.threadLimits}`,
    ...(quietMs < quietNotedMs
      ? []
      : [`nothing new for ${ms(quietMs)}: the program has ended, or nothing in it moves`]),
    ...(state.lastNote === '' ? [] : [`console: ${state.lastNote}`]),
    '',
  ].flatMap((line) => folded(line, width));
  const table = (count: number) =>
    reportTable(
      ['CALL', 'FOR', 'THREAD', 'CLIENT: DOING'],
      calls
        .slice(0, count)
        .map(({ call, since, doing, thread, client }) => [
          String(call),
          ms(now - since),
          String(thread ?? '-'),
          `${client}: ${doing}`,
        ]),
      width,
    );
  // A call may take several lines: as many calls as there is room for, and a line for the others.
  let shown = Math.min(calls.length, Math.max(fewestCalls, rows));
  while (shown > fewestCalls && head.length + table(shown).length + (shown < calls.length ? 1 : 0) > rows) shown--;
  return [...head, ...table(shown), ...(calls.length > shown ? [`and ${calls.length - shown} more`] : [])];
}
