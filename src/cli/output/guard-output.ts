import { badUsage } from './exit-code.js';
import { visibleText } from './visible-text.js';

/** What a shell says of a program that wrote into a pipe which nobody reads any more: 128 and SIGPIPE. */
const brokenPipe = 141;

/** Node's exit code for an error that nobody caught. */
const uncaught = 1;

let colours = false;

/** Let colours pass to a terminal: for commands whose reports have some, and that clean what they quote. */
export function letColoursPass(): void {
  colours = true;
}

/**
 * The one way from this program to its output. Whatever is printed may hold text from outside: titles and names of files, lines
 * of a console, messages of errors. What a terminal would take for an order is made visible.
 *
 * Output that cannot be written ends the program with an error, as it ends other tools: a full disk with a message and exit
 * code 2, a pipe that nobody reads silently with 141.
 *
 * Warnings of the process, and errors that nobody caught, Node prints past `process.stderr`: they come this way too.
 */
export function guardOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (chunk: string | Uint8Array, ...rest: unknown[]) => boolean;
    const guarded = (chunk: string | Uint8Array, ...rest: unknown[]) => {
      const terminal = stream.isTTY === true;
      const text = typeof chunk === 'string' ? visibleText(chunk, { terminal, colours: colours && terminal }) : chunk;
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

/** Only where Node would print them: whoever has switched warnings off has. */
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
