/**
 * `npm run test:linux [-- --kernel 6.12]... [--part behaviour|xtest|throughput]... [--supplicant
 * ours|tee-supplicant]... [--case NAME]...
 * [--table FILE] [--verbose]`: boots Debian's arm64 kernels on our monitor with the real OP-TEE. In the guest, the
 * behaviour suite runs over /dev/tee0 with an arm64 Node, and the unmodified xtest with our supplicant in place of
 * tee-supplicant. The part throughput measures the call rate of one caller, in a C program and in ours.
 *
 * Exit codes: 0 all tests passed, as many cases passed with our supplicant as with Debian's, and our call rate is at
 * least 0.5 of a C program's on a pseudo-TA and 0.8 on a user TA; 1 otherwise; 2 something is missing.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { kernelVersions } from '../kernel/packages.js';
import { behaviourOn, throughputOn, xtestOn } from './run.js';

/** Loading of TAs, parameters, plugins (1033), sockets (200x), secure storage (600x). */
const usualCases = [
  '1001',
  '1002',
  '1004',
  '1008',
  '1019',
  '1033',
  '2001',
  '2002',
  '2003',
  '2004',
  '6001',
  '6002',
  '6003',
  '6010',
];
/** Smallest accepted call rate relative to a C program's, by application. */
const leastShare = { 'pseudo-TA': 0.5, 'user TA': 0.8 };
const { values } = parseArgs({
  options: {
    kernel: { type: 'string', multiple: true, default: kernelVersions },
    part: { type: 'string', multiple: true, default: ['behaviour', 'xtest'] },
    supplicant: { type: 'string', multiple: true, default: ['ours', 'tee-supplicant'] },
    case: { type: 'string', multiple: true, default: usualCases },
    table: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
const say = (text) => process.stderr.write(`${text}\n`);
const onLine = (line) => {
  if (values.verbose) say(`  ${line}`);
};
const requireKnown = (what, given, known) => {
  for (const each of given)
    if (!known.includes(each)) throw new Error(`no ${what} "${each}"; allowed: ${known.join(', ')}`);
};

try {
  requireKnown('kernel', values.kernel, kernelVersions);
  requireKnown('part', values.part, ['behaviour', 'xtest', 'throughput']);
  requireKnown('supplicant', values.supplicant, ['ours', 'tee-supplicant']);
  const rows = [];
  const rates = [];
  for (const kernel of values.kernel)
    for (const supplicant of values.supplicant)
      for (const part of values.part)
        if (part === 'throughput') rates.push(...(await measure(kernel, supplicant)));
        else rows.push(await run(kernel, supplicant, part));
  if (values.table !== undefined)
    writeFileSync(
      values.table,
      [...(rows.length > 0 ? [table(rows)] : []), ...(rates.length > 0 ? [rateTable(rates)] : [])].join('\n'),
    );
  process.exitCode = isGood(rows) && rates.every(({ what, c, node }) => node >= leastShare[what] * c) ? 0 : 1;
} catch (error) {
  say(`test:linux: ${error.message}`);
  process.exitCode = 2;
}

async function run(kernel, supplicant, part) {
  const row = { kernel, supplicant, part };
  if (part === 'behaviour') {
    const { passed, failed, exitCode, lines } = await behaviourOn({ kernel, supplicant, say, onLine });
    if (exitCode !== 0 && !values.verbose) for (const line of lines) say(`  ${line}`);
    return tell({ ...row, passed, failed: failed + (exitCode !== 0 && failed === 0 ? 1 : 0) });
  }
  const { output } = await xtestOn({ kernel, supplicant, cases: values.case, say, onLine });
  const failures = output.cases.filter(({ ok }) => !ok).map(({ name }) => name);
  return tell({ ...row, passed: output.cases.length - failures.length, failed: failures.length, failures });
}

function tell(row) {
  const { kernel, supplicant, part, passed, failed, failures = [] } = row;
  console.log(
    `Linux ${kernel}, ${supplicant === 'ours' ? 'normalworld supplicant' : supplicant}: ${part}: ${passed} passed, ${failed} failed${failures.length > 0 ? `: ${failures.join(', ')}` : ''}`,
  );
  return row;
}

/**
 * No failure in the behaviour suite; and as many passed cases of xtest with our supplicant as with Debian's, if both
 * were run.
 */
function isGood(rows) {
  return rows.every(({ kernel, supplicant, part, passed, failed }) => {
    if (passed === 0) return false;
    if (part === 'behaviour') return failed === 0;
    const other = rows.find((row) => row.kernel === kernel && row.part === part && row.supplicant === 'tee-supplicant');
    return supplicant !== 'ours' || (other === undefined ? failed === 0 : passed >= other.passed);
  });
}

function table(rows) {
  return `${[
    '| kernel | supplicant | tests | passed | failed |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      ({ kernel, supplicant, part, passed, failed }) =>
        `| ${kernel} | ${supplicant === 'ours' ? 'normalworld supplicant' : supplicant} | ${part === 'xtest' ? `xtest, ${passed + failed} cases` : 'behaviour suite'} | ${passed} | ${failed} |`,
    ),
  ].join('\n')}\n`;
}

async function measure(kernel, supplicant) {
  const measured = await throughputOn({ kernel, supplicant, say, onLine });
  for (const { what, c, thread, node } of measured)
    console.log(
      `Linux ${kernel}: throughput, ${what}: C ${Math.round(c)} calls/s, by a second thread ${Math.round(thread)}, world linux ${Math.round(node)} calls/s: ${(node / c).toFixed(2)}, wanted ${leastShare[what]}`,
    );
  return measured.map((each) => ({ kernel, ...each }));
}

function rateTable(rates) {
  return `${[
    '| kernel | one caller on a | C program, calls/s | by its second thread | world `linux`, calls/s | of the C program |',
    '| --- | --- | ---: | ---: | ---: | ---: |',
    ...rates.map(
      ({ kernel, what, c, thread, node }) =>
        `| ${kernel} | ${what} | ${Math.round(c)} | ${Math.round(thread)} | ${Math.round(node)} | ${(node / c).toFixed(2)} |`,
    ),
  ].join('\n')}\n`;
}
