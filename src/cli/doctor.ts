import type { Command } from 'commander';
import { inspectBoard } from '../linux/inspect-board.js';
import { opteeNamed } from '../optee-build/built-optee.js';
import { isSshBoard } from '../remote/ssh-board.js';
import { inspectClients } from '../serve/inspect-clients.js';
import { knownKeys } from '../ta/image-judge.js';
import { faultsInFolder } from '../ta/inspect-folder.js';
import { type Finding, inspectMachine } from '../worlds/qemu/inspect-machine.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import { refuseOthers } from './open/refuse-others.js';
import { tellFailure } from './output/failure.js';
import { printReport } from './output/print-report.js';

interface DoctorOptions {
  readonly optee?: string;
  readonly ta?: string;
  readonly qemu?: string;
  readonly device?: string | true;
  readonly json?: boolean;
}

const marks = { present: 'ok      ', missing: 'MISSING ', optional: 'absent  ' } as const;

/** `normalworld doctor`: exit code 1 if something is missing for the real OP-TEE. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('check the requirements of the real OP-TEE in QEMU')
    .description(
      'Checks the requirements of the real OP-TEE in QEMU and of the clients of `exec`, and says how to get what is missing. ' +
        'The simulated world needs none of it.',
    )
    .option(
      '--optee <name or file>',
      'an OP-TEE other than the fetched one: a build on this machine (optee list), or your own image (tee-pager_v2.bin)',
    )
    .option('--ta <folder>', 'folder with your own trusted applications (<uuid>.ta)')
    .option('--qemu <program>', 'your own QEMU instead of qemu-system-aarch64')
    .option(
      '--device [path]',
      "instead: check the TEE of this machine, behind Linux's driver (default path: /dev/tee0)",
    )
    .option('--json', 'print one JSON array')
    .addHelpText(
      'after',
      `
Exit codes:
  0  the real OP-TEE can be booted; with --device, clients can use it
  1  a requirement is missing
  2  bad usage

Examples:
  $ normalworld doctor
  $ normalworld doctor --device
  $ normalworld doctor --json | jq -r '.[] | select(.state == "missing") | .detail'`,
    )
    .action((options: DoctorOptions) => examine(options).catch((error: unknown) => tellFailure(error)));
}

/** @throws RangeError for options that exclude each other. */
async function examine(options: DoctorOptions): Promise<void> {
  if (options.device !== undefined) {
    refuseOthers(options, new Set(['device', 'json']), 'is for OP-TEE in QEMU: --device checks a board');
    if (options.device !== true && isSshBoard(options.device))
      throw new RangeError(`--device ${options.device}: doctor checks its own machine; run it on the board over ssh`);
    tell(inspectBoard(options.device === true ? '/dev/tee0' : options.device), options);
    return;
  }
  const optee = await opteeNamed(options.optee);
  const machine = await inspectMachine({
    folder: opteeFolder(),
    image: options.optee === undefined ? undefined : optee.image,
    trustedApplications: options.ta ?? (options.optee === undefined ? undefined : optee.trustedApplications),
    qemu: options.qemu,
  });
  const folder = options.ta ?? (optee.trustedApplications || opteeFolder().trustedApplications);
  const faults = await faultsInFolder(folder, await knownKeys(optee.image));
  const applications = machine.map(
    (finding): Finding =>
      finding.what !== 'trusted applications' || faults.length === 0
        ? finding
        : {
            ...finding,
            state: 'missing',
            detail: `${finding.detail}, of which ${faults.length} will not load: ${faults.join('; ')}`,
          },
  );
  const findings = [...applications, ...(await inspectClients())];
  tell(findings, options);
}

function tell(findings: readonly Finding[], { json }: DoctorOptions): void {
  if (json) console.log(JSON.stringify(findings, null, 2));
  else printReport(findings.map(line));
  if (findings.some(({ state }) => state === 'missing')) process.exitCode = 1;
}

function line({ what, state, detail }: Finding): string {
  return `${marks[state]} ${what}: ${detail}`;
}
