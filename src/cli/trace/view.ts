import { basename } from 'node:path';
import type { Command } from 'commander';
import { recordSchedule } from '../../conform/schedule-trace.js';
import { parseTraceFile, TraceFileError } from '../../conform/trace-file.js';
import { addFolded, type FoldedStacks } from '../../coverage/folded-stacks.js';
import { namingFile } from '../../files/name-file-in-errors.js';
import { RegularFileError, readRegularFile } from '../../files/read-regular-file.js';
import { readText, TextFileError } from '../../files/read-text.js';
import { FileLengthError } from '../../files/read-whole.js';
import { startProcess } from '../../processes/start-process.js';
import { profilePage, viewerPage } from '../../trace/node/viewer-page.js';
import { MemoryRecorder } from '../../trace/nwt/memory-recorder.js';
import { badUsage } from '../output/exit-code.js';
import { OutputOption } from '../output/output-option.js';
import { writeOrSayWhy } from '../output/write-output.js';
import { pageServer } from './page-server.js';
import { readTraceOrSayWhy } from './read-trace.js';

interface ViewOptions {
  readonly out?: string;
  readonly port: string;
  readonly open: boolean;
}

/** Largest total size of the traces, in bytes: the page is one string, whose length is limited. */
const largestTrace = 2 ** 30;

export function addViewCommand(program: Command): void {
  program
    .command('view')
    .summary('view a trace, or two, one above the other, or a profile')
    .description(
      'Shows traces in a page: threads, clients and queue as lanes, calls as bars, wake-ups as arrows. Serves it on ' +
        '127.0.0.1 until Ctrl-C, or writes it to a single HTML file. A profile (.folded) is shown as a flame graph.',
    )
    .argument(
      '<file...>',
      'one trace (.nwt) or schedule of `explore --traces` (.json), or two to compare; or a profile (.folded)',
    )
    .addOption(new OutputOption('-o, --out <file.html>', 'write the page instead of serving it'))
    .option('-p, --port <number>', 'port on 127.0.0.1; 0: any free port', '0')
    .option('--no-open', 'do not open a browser')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by Ctrl-C, or the page was written
  2  bad usage, or a file that cannot be read or written

Examples:
  $ normalworld run scenarios/rpmb-scmi-deadlock.yaml --trace out.nwt
  $ normalworld view out.linux-6.7.nwt out.hand-off.nwt
  $ normalworld view out.linux-6.7.nwt --out deadlock.html
  $ normalworld explore --queue linux-6.8 --secure-threads 1 --reservations 1 --callers '2*N,S+S' --traces found
  $ normalworld view found/linux-6.8-lostWakeUp.json
  $ normalworld view build/profile/profile.folded`,
    )
    .action(view);
}

async function view(paths: string[], { out, port, open }: ViewOptions): Promise<void> {
  const portNumber = Number(port);
  if (paths.length > 2 || !/^\d+$/.test(port) || portNumber > 65535) {
    console.error(paths.length > 2 ? 'error: at most two traces' : `error: --port ${port}: allowed is 0 to 65535`);
    process.exitCode = badUsage;
    return;
  }
  const page = await (paths.some(isProfile) ? profileOrSayWhy(paths) : timelineOrSayWhy(paths));
  if (page === undefined) {
    process.exitCode = badUsage;
    return;
  }
  if (out !== undefined) {
    writeOrSayWhy(out, paths, [page]);
    return;
  }
  const server = pageServer(page);
  server.on('error', (error) => {
    console.error(error.message);
    process.exitCode = badUsage;
  });
  server.listen(portNumber, '127.0.0.1', () => {
    const url = server.pageUrl();
    console.log(`${url}  (Ctrl-C ends)`);
    if (open && process.stdout.isTTY) openBrowser(url);
  });
  process.once('SIGINT', () => {
    server.close();
    server.closeAllConnections();
  });
}

/** The page of the traces; undefined, with the reason on stderr, if there can be none. */
async function timelineOrSayWhy(paths: readonly string[]): Promise<string | undefined> {
  const traces = [];
  for (const path of paths) {
    const bytes = await (path.endsWith('.json') ? scheduleOrSayWhy(path) : traceOrSayWhy(path));
    if (bytes === undefined) return undefined;
    traces.push({ name: basename(path), bytes });
  }
  try {
    return viewerPage(traces);
  } catch (error) {
    if (
      !(error instanceof RangeError) &&
      !(error instanceof Error && 'code' in error && error.code === 'ERR_STRING_TOO_LONG')
    )
      throw error;
    console.error(
      `error: ${paths.join(', ')}: too large for one page; use \`trace export\` and a viewer for large traces`,
    );
    return undefined;
  }
}

const isProfile = (path: string) => path.endsWith('.folded');

/** The page of a profile; undefined, with the reason on stderr, if there can be none. */
async function profileOrSayWhy([path = '', ...more]: readonly string[]): Promise<string | undefined> {
  if (more.length > 0) {
    console.error('error: a profile is shown alone');
    return undefined;
  }
  try {
    const folded = await readText(path);
    const stacks: FoldedStacks = new Map();
    addFolded(folded, stacks);
    if (stacks.size > 0) return profilePage(basename(path), folded);
    console.error(`${path}: no call stacks, which are lines like \`main;copy 12\``);
  } catch (error) {
    console.error(whyNotRead(path, error));
  }
  return undefined;
}

/** Read the trace here too, so that damage is reported on the terminal. */
async function traceOrSayWhy(path: string): Promise<Uint8Array | undefined> {
  if ((await readTraceOrSayWhy(path)) === undefined) return undefined;
  try {
    return await readRegularFile(path, largestTrace);
  } catch (error) {
    if (!(error instanceof RegularFileError)) throw error;
    console.error(`${error.message}${error.code === 'EFBIG' ? ', too large for one page; use `trace export`' : ''}`);
    process.exitCode = badUsage;
    return undefined;
  }
}

async function scheduleOrSayWhy(path: string): Promise<Uint8Array | undefined> {
  try {
    const recorder = new MemoryRecorder({ maxBytes: Number.POSITIVE_INFINITY });
    recordSchedule(parseTraceFile(await readText(path)), recorder);
    return recorder.toBytes();
  } catch (error) {
    console.error(whyNotRead(path, error));
    process.exitCode = badUsage;
    return undefined;
  }
}

/** @throws errors that are not caused by the file. */
function whyNotRead(path: string, error: unknown): string {
  if (error instanceof TraceFileError || error instanceof TextFileError || error instanceof FileLengthError)
    return `${path}: ${error.message}`;
  if (error instanceof Error && 'syscall' in error) return (namingFile(path, error) as Error).message;
  throw error;
}

/** Open a browser, best effort; the URL is also printed. */
function openBrowser(url: string): void {
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open';
  try {
    startProcess(program, [url], { stdio: 'ignore', detached: true })
      .on('error', () => undefined)
      .unref();
  } catch {
    // Too many open files.
  }
}
