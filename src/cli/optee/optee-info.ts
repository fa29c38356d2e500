import type { Command } from 'commander';
import type { Tee } from '../../client/tee.js';
import { SecureWorldCapability } from '../../protocol/optee-smc.js';
import { addDeviceOption, addOpteeOptions, type OpteeOptions, onOptee, opteeExitCodes } from '../open/optee-options.js';
import { printReport } from '../output/print-report.js';

/** `normalworld optee info`: boot OP-TEE and print its version and capabilities. */
export function addInfoCommand(optee: Command): void {
  const command = optee
    .command('info')
    .summary('print version and capabilities of OP-TEE')
    .description('Boots OP-TEE, or queries that of this machine, and prints its version and capabilities.');
  command.addHelpText(
    'after',
    `${opteeExitCodes}

Examples:
  $ normalworld optee info
  $ normalworld optee info --optee build/tee-pager_v2.bin --console
  $ normalworld optee info --device
  $ normalworld optee info --json | jq .threadCount`,
  );
  addDeviceOption(addOpteeOptions(command))
    .option('--json', 'print one JSON object')
    .action(async (options: OpteeOptions) => {
      const started = performance.now();
      await onOptee(options, async (tee) => {
        if (options.device !== undefined) {
          tellBoard(tee, options);
          return;
        }
        const { apiRevision, osRevision, capabilities, threadCount, reservedShm, ...rest } = tee.info;
        const names = Object.entries(SecureWorldCapability).flatMap(([name, bit]) =>
          capabilities & bit ? [name] : [],
        );
        const bootMs = Math.round(performance.now() - started);
        if (options.json) {
          console.log(JSON.stringify({ ...tee.info, capabilityNames: names, bootMs }, null, 2));
          return;
        }
        const build = osRevision.buildId === 0 ? '' : ` (build ${osRevision.buildId.toString(16)})`;
        const rows: [string, string][] = [
          ['OP-TEE OS', `${osRevision.major}.${osRevision.minor}${build}`],
          ['API revision', `${apiRevision.major}.${apiRevision.minor}`],
          ['capabilities', names.join(', ')],
          ['thread contexts', threadCount === 0 ? 'not announced' : String(threadCount)],
          ['highest notification', String(rest.maxNotificationValue)],
          ['RPC parameters', String(rest.rpcParamCount)],
          [
            'reserved shared memory',
            reservedShm === undefined ? 'none' : `${reservedShm.size / 1024} KiB at 0x${reservedShm.base.toString(16)}`,
          ],
          ['booted and probed in', `${bootMs} ms`],
        ];
        tellRows(rows);
      });
    });
}

function tellRows(rows: readonly (readonly [string, string])[]): void {
  printReport(rows.map(([name, text]) => `${name.padEnd(23)}  ${text}`));
}

/** Print what Linux shows about a TEE of its own driver. */
function tellBoard({ device, revision, rpmbRouting }: Tee, { json }: OpteeOptions): void {
  const { registeredMemory, memrefNull } = device.version;
  if (json) {
    console.log(JSON.stringify({ revision, rpmbRouting, registeredMemory, memrefNull }, null, 2));
    return;
  }
  tellRows([
    ['OP-TEE OS', revision ?? 'not reported by this kernel'],
    ["a client's own buffers", registeredMemory ? 'shared in place' : 'copied: reserved memory only'],
    ['null references', memrefNull ? 'distinguished from empty ones' : 'treated as empty ones'],
    ['RPMB frames go through', rpmbRouting === undefined ? 'not reported by this kernel' : rpmbWays[rpmbRouting]],
  ]);
}

const rpmbWays = { kernel: 'the kernel', user: 'the supplicant' } as const;
