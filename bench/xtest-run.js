/**
 * One run of `bench/xtest.js`, in a process of its own, as a user's is. Progress on standard error, the outcome as JSON.
 *
 *     node bench/xtest-run.js linux|normalworld [CASES]
 */
import { runXtest } from '../dist/xtest/run-xtest.js';
import { linuxXtest } from './linux/xtest.js';

const [, , side, ...cases] = process.argv;
const say = (text) => process.stderr.write(`${text}\n`);
const onCase = ({ name, title, ok, milliseconds }) =>
  say(`${ok ? 'ok    ' : 'FAILED'} ${(milliseconds / 1000).toFixed(2).padStart(7)} s  ${name.padEnd(16)} ${title}`);

const run = side === 'linux' ? await linuxXtest({ cases, say, onCase }) : await runXtest({ cases, onCase });
const { output, exitCode, milliseconds, suiteMilliseconds } = run;
const { counts, unfinished } = output;
console.log(JSON.stringify({ cases: output.cases, counts, unfinished, exitCode, milliseconds, suiteMilliseconds }));
