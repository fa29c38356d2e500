import { badUsage } from './exit-code.js';
import { visibleText } from './visible-text.js';

/** Exit code after SIGPIPE, as in a shell: 128 plus the number of the signal. */
const brokenPipe = 141;

/** Node's exit code after an uncaught exception. */
const uncaught = 1;

let colours = false;

/** Permit colours on a terminal, for commands with coloured reports that sanitise the texts that they quote. */
export function letColoursPass(): void {
  colours = true;
}

let unguarded = 0;

/**
 * Output as it is while `work` runs: that of a test runner, which draws on the terminal, and which runs with the same
 * trust as a process of its own.
 */
export async function letAllPass<T>(work: () => Promise<T>): Promise<T> {
  unguarded++;
  try {
    return await work();
  } finally {
    unguarded--;
  }
}

/**
 * Sanitises all output of this program. Output may contain text from outside, such as file names, titles, console lines
 * and error messages; terminal control sequences in it are made visible.
 *
 * If output cannot be written, the program ends with an error as other tools do: with a message and exit code 2 if
 * the disk is full, silently with 141 if the reader of a pipe has closed it.
 *
 * Node prints warnings and uncaught errors without `process.stderr`; they are redirected here.
 */
export function guardOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (chunk: string | Uint8Array, ...rest: unknown[]) => boolean;
    const guarded = (chunk: string | Uint8Array, ...rest: unknown[]) => {
      const terminal = stream.isTTY === true;
      const isGuarded = typeof chunk === 'string' && unguarded === 0;
      const text = isGuarded ? visibleText(chunk, { terminal, colours: colours && terminal }) : chunk;
      return write(text, ...rest);
    };
    stream.write = guarded as typeof stream.write;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(brokenPipe);
      if (stream === process.stdout) process.stderr.write(`error: standard output: ${error.message}\n`);
      process.exit(badUsage);
    });
  }
  guardWarnings();
  process.on('uncaughtException', (error: unknown) => {
    console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(uncaught);
  });
}

/** Only if Node would print them, that is, if warnings are not disabled. */
function guardWarnings(): void {
  if (process.listenerCount('warning') === 0) return;
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'DeprecationWarning' && process.noDeprecation === true) return;
    const ours = warning.name === 'NormalworldWarning';
    console.error(
      ours ? `normalworld: ${warning.message}` : `(node:${process.pid}) ${warning.name}: ${warning.message}`,
    );
  });
}
