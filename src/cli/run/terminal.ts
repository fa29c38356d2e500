import { env, stderr, stdout } from 'node:process';
import type { Layout } from '../../scenario/report/text-report.js';

const usual = 80;

/** The layout for reports: COLUMNS if it is set, else the terminal's width, else 80 columns. */
export function terminalLayout(): Layout {
  const set = Number(env.COLUMNS);
  const columns = Number.isInteger(set) && set > 0 ? set : (stdout.columns ?? 0);
  return { width: columns > 0 ? columns : usual, colour: stdout.isTTY === true && !env.NO_COLOR };
}

/** Time after which progress of a run is shown, in milliseconds. */
const patienceMs = 1000;
/** Interval of updating it, in milliseconds. */
const refreshMs = 200;

/** A progress line that is overwritten on the terminal; not shown if standard error is not a terminal. */
export function progressLine(): { readonly show: (text: () => string) => void; readonly clear: () => void } {
  if (stderr.isTTY !== true) return { show: () => {}, clear: () => {} };
  let next = performance.now() + patienceMs;
  let shown = false;
  return {
    show(text) {
      if (performance.now() < next) return;
      next = performance.now() + refreshMs;
      shown = true;
      stderr.write(`\r\x1b[K${text()}`);
    },
    clear() {
      if (shown) stderr.write('\r\x1b[K');
      shown = false;
    },
  };
}

/** A command line that a shell can read, with `normalworld` as it was called here. */
export function commandLine(...words: readonly string[]): string {
  const program = env.npm_command === 'exec' ? ['npx', 'normalworld'] : ['normalworld'];
  return [...program, ...words].map(quoted).join(' ');
}

export function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
