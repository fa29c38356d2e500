/**
 * One run of `bench/xtest.js` in a process of its own. Progress is printed on standard error, the result as JSON.
 *
 * node bench/xtest-run.js linux|linuxHandOff|normalworld [CASES]
 */
import koffi from 'koffi';
import { runXtest } from '../dist/xtest/run-xtest.js';
import { buildModules } from '../linux/kernel/modules.js';
import { fetchKernel } from '../linux/kernel/packages.js';
import { linuxXtest } from './linux/xtest.js';

const [, , side, ...cases] = process.argv;
const say = (text) => process.stderr.write(`${text}\n`);
const onCase = ({ name, title, ok, milliseconds }) =>
  say(`${ok ? 'ok    ' : 'FAILED'} ${(milliseconds / 1000).toFixed(2).padStart(7)} s  ${name.padEnd(16)} ${title}`);

const handOff = async () => (await buildModules(await fetchKernel('6.12', say), say)).optee;
const run =
  side === 'normalworld'
    ? await runXtest({ cases, onCase })
    : await linuxXtest({ cases, say, onCase, ...(side === 'linux' ? {} : { optee: await handOff() }) });
const { output, exitCode, milliseconds, suiteMilliseconds } = run;
const { cases: ended, counts, unfinished } = output;
const processorMilliseconds = own() + children();
console.log(
  JSON.stringify({
    cases: ended,
    counts,
    unfinished,
    exitCode,
    milliseconds,
    suiteMilliseconds,
    processorMilliseconds,
  }),
);

function own() {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return (userCPUTime + systemCPUTime) / 1000;
}

/**
 * CPU time of QEMU and the client after they have ended: getrusage(RUSAGE_CHILDREN), whose first words are two `struct
 * timeval`.
 */
function children() {
  const usage = new BigInt64Array(18);
  koffi.load(null).func('int getrusage(int who, _Out_ void *usage)')(-1, usage);
  return Number(usage[0] + usage[2]) * 1000 + Number(usage[1] + usage[3]) / 1000;
}
