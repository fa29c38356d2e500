import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { openTee } from '../open-tee.js';
import { arm64Root, isComplete } from '../serve/arm64-root.js';
import { clientCommand } from '../serve/client-command.js';
import { runClient } from '../serve/run-client.js';
import { TeeServer } from '../serve/tee-server.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import { testPlugin } from '../xtest/test-plugin.js';
import { type XtestCase, XtestOutput } from '../xtest/xtest-output.js';

interface XtestOptions {
  readonly xtest?: string;
  readonly table?: string;
  readonly verbose?: boolean;
  readonly console?: boolean;
}

/** `normalworld xtest [cases]`: OP-TEE's own test suite, untouched, through our driver. */
export function addXtestCommand(program: Command): void {
  program
    .command('xtest')
    .description("run OP-TEE's own test suite against OP-TEE in QEMU; exit code 1 unless every case passes")
    .argument('[cases...]', 'only cases whose names contain one of these (default: all)')
    .option('--xtest <file>', "another xtest than the fetched one, of this machine's architecture or arm64")
    .option('--table <file>', 'write the table as Markdown')
    .option('--verbose', 'print what xtest prints')
    .option('--console', "print OP-TEE's secure console to standard error")
    .action(async (cases: string[], options: XtestOptions) => {
      try {
        process.exitCode = (await runXtest(cases, options)) ? 0 : 1;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        console.error(`normalworld: ${error.message}`);
        process.exitCode = 1;
      }
    });
}

async function runXtest(cases: readonly string[], options: XtestOptions): Promise<boolean> {
  const root = arm64Root();
  if (options.xtest === undefined && !isComplete(root))
    throw new Error(`no ${root.xtest}; get it with: npx normalworld optee fetch`);
  const started = performance.now();
  await using tee = await openTee({
    world: 'qemu',
    taFolders: [root.trustedApplications, opteeFolder().trustedApplications].filter((folder) => existsSync(folder)),
    supplicant: { plugins: [testPlugin] },
    qemu: options.console ? { onConsoleLine: ({ text }) => console.error(text) } : {},
  });
  await using server = await TeeServer.listen(tee);
  const output = new XtestOutput();
  using command = await clientCommand(options.xtest ?? root.xtest, ['-l', '0', ...cases], server.path);
  const exitCode = await runClient(command, ({ stdout }) => {
    if (stdout === null) throw new Error('no pipe from xtest');
    createInterface({ input: stdout }).on('line', (line) => {
      if (options.verbose) console.log(line);
      const ended = output.line(line, performance.now());
      if (ended !== undefined && !options.verbose) console.log(row(ended));
    });
  });
  const seconds = (performance.now() - started) / 1000;
  const failed = output.cases.filter(({ ok }) => !ok);
  const summary =
    `${output.cases.length} cases, ${failed.length} failed; ${output.counts?.subtests ?? 'no'} subtests, ` +
    `${output.counts?.failedSubtests ?? 'none'} failed; ${seconds.toFixed(1)} s`;
  if (output.unfinished !== undefined) console.log(`xtest ended in ${output.unfinished}, with exit code ${exitCode}`);
  console.log(summary);
  if (options.table !== undefined) await writeFile(options.table, markdown(output.cases, summary));
  return exitCode === 0 && output.cases.length > 0 && failed.length === 0;
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
