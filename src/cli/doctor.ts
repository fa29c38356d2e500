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

/** `normalworld doctor`: exit code 1 when something is missing that real OP-TEE needs. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('what real OP-TEE in QEMU needs: what is there, what is missing, how to get it')
    .description(
      'Says what the real OP-TEE in QEMU and the clients of `exec` need: what is there, what is missing, how to get it. ' +
        'The simulated world needs nothing of it.',
    )
    .option(
      '--optee <name or file>',
      'another OP-TEE than the fetched one: one that was built here (optee list), or an image of your own (tee-pager_v2.bin)',
    )
    .option('--ta <folder>', 'folder with trusted applications of your own (<uuid>.ta)')
    .option('--qemu <program>', 'QEMU of your own instead of qemu-system-aarch64')
    .option(
      '--device [path]',
      'instead: what clients of the TEE of this machine need, behind the driver of Linux (default path: /dev/tee0)',
    )
    .option('--json', 'print one JSON array')
    .addHelpText(
      'after',
      `
Exit codes:
  0  the real OP-TEE can be booted; with --device, clients can use it
  1  something that it needs is missing
  2  bad usage

Examples:
  $ normalworld doctor
  $ normalworld doctor --device
  $ normalworld doctor --json | jq -r '.[] | select(.state == "missing") | .detail'`,
    )
    .action(async (options: DoctorOptions) => {
      if (options.device !== undefined) {
        refuseOthers(options, new Set(['device', 'json']), 'is for OP-TEE in QEMU: --device asks about a board');
        if (options.device !== true && isSshBoard(options.device)) {
          tellFailure(
            new RangeError(`--device ${options.device}: doctor looks at its own machine; run it on the board, by ssh`),
          );
          return;
        }
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
    });
}

function tell(findings: readonly Finding[], { json }: DoctorOptions): void {
  if (json) console.log(JSON.stringify(findings, null, 2));
  else printReport(findings.map(line));
  if (findings.some(({ state }) => state === 'missing')) process.exitCode = 1;
}

function line({ what, state, detail }: Finding): string {
  return `${marks[state]} ${what}: ${detail}`;
}
