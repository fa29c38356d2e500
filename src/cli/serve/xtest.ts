import type { Command } from 'commander';
import { runXtest } from '../../xtest/run-xtest.js';
import type { XtestCase } from '../../xtest/xtest-output.js';
import { callLimitOption } from '../open/optee-options.js';
import { tellFailure } from '../output/failure.js';
import { OutputOption } from '../output/output-option.js';
import { writeOutput } from '../output/write-output.js';

interface XtestOptions {
  readonly xtest?: string;
  readonly optee?: string;
  readonly ta?: readonly string[];
  readonly callLimit?: number;
  readonly table?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly console?: boolean;
}

/** `normalworld xtest [cases]`: run OP-TEE's unmodified test suite through our driver. */
export function addXtestCommand(program: Command): void {
  program
    .command('xtest')
    .summary("run OP-TEE's own test suite against OP-TEE in QEMU")
    .description(
      "Runs OP-TEE's own test suite, Debian's unmodified arm64 xtest, against OP-TEE in QEMU, through our driver.",
    )
    .argument('[cases...]', 'only cases whose names contain one of these (default: all)')
    .option('--xtest <file>', "an xtest other than the fetched one, for this machine's architecture or arm64")
    .option(
      '--optee <name or file>',
      'an OP-TEE other than the fetched one: a build on this machine (optee list), or your own image (tee-pager_v2.bin)',
    )
    .option(
      '--ta <folder>',
      "folder with trusted applications (<uuid>.ta), searched before OP-TEE's own; may be repeated",
      (folder: string, others: readonly string[] = []) => [...others, folder],
    )
    .addOption(callLimitOption(Number.POSITIVE_INFINITY))
    .addOption(new OutputOption('--table <file>', 'write the table as Markdown'))
    .option('--json', 'print one JSON object at the end')
    .option('--verbose', 'print the output of xtest')
    .option('--console', "print OP-TEE's secure console to standard error")
    .addHelpText(
      'after',
      `
Exit codes:
  0  every case passed
  1  a case failed, or the suite could not be run
  2  bad usage

Examples:
  $ normalworld xtest
  $ normalworld xtest 1004 pkcs11
  $ normalworld optee build --ffa && normalworld xtest --optee sid-ffa
  $ normalworld xtest 1001 --json | jq '.cases[] | select(.ok | not)'`,
    )
    .action(async (cases: string[], options: XtestOptions) => {
      try {
        process.exitCode = (await xtest(cases, options)) ? 0 : 1;
      } catch (error) {
        tellFailure(error);
      }
    });
}

async function xtest(cases: readonly string[], options: XtestOptions): Promise<boolean> {
  // With --json, standard output contains only the JSON object.
  const say = (line: string) => (options.json ? console.error(line) : console.log(line));
  const { ok, output, exitCode, milliseconds } = await runXtest({
    cases,
    ...(options.xtest === undefined ? {} : { program: options.xtest }),
    ...(options.optee === undefined ? {} : { optee: options.optee }),
    ...(options.ta === undefined ? {} : { taFolders: options.ta }),
    ...(options.callLimit === undefined ? {} : { callLimitMs: options.callLimit }),
    ...(options.verbose ? { onLine: (line) => say(line) } : options.json ? {} : { onCase: (ended) => say(row(ended)) }),
    ...(options.console ? { onConsoleLine: (line) => console.error(line) } : {}),
  });
  const failed = output.cases.filter((each) => !each.ok);
  const summary =
    `${output.cases.length} cases, ${failed.length} failed; ${output.counts?.subtests ?? 'no'} subtests, ` +
    `${output.counts?.failedSubtests ?? 'none'} failed; ${(milliseconds / 1000).toFixed(1)} s`;
  if (output.unfinished !== undefined) say(`xtest ended in ${output.unfinished}, with exit code ${exitCode}`);
  say(summary);
  if (options.json) {
    const { cases, counts, unfinished } = output;
    console.log(
      JSON.stringify({ ok, exitCode, milliseconds, ...counts, unfinished: unfinished ?? null, cases }, null, 2),
    );
  }
  if (options.table !== undefined) writeOutput(options.table, [], [markdown(output.cases, summary)]);
  return ok;
}

function row({ name, title, ok, milliseconds, firstError }: XtestCase): string {
  const line = `${ok ? 'ok    ' : 'FAILED'} ${(milliseconds / 1000).toFixed(2).padStart(7)} s  ${name.padEnd(16)} ${title}`;
  return firstError === undefined ? line : `${line}\n       ${firstError}`;
}

function markdown(cases: readonly XtestCase[], summary: string): string {
  const rows = cases.map(
    ({ name, title, ok, milliseconds }) =>
      `| ${name} | ${title.replaceAll('|', '\\|')} | ${ok ? 'ok' : 'FAILED'} | ${(milliseconds / 1000).toFixed(2)} |`,
  );
  return `${['| case | what | result | seconds |', '| --- | --- | --- | ---: |', ...rows].join('\n')}\n\n${summary}\n`;
}
