import { basename } from 'node:path';
import type { Command } from 'commander';
import { readRegularFile } from '../../files/read-regular-file.js';
import { readWhole } from '../../files/read-whole.js';
import { opteeNamed } from '../../optee-build/built-optee.js';
import { parseUuid } from '../../protocol/uuid.js';
import { imageUuid } from '../../supplicant/node/folder-ta-store.js';
import { knownKeys } from '../../ta/image-judge.js';
import { inspectTa } from '../../ta/inspect-ta.js';
import { signingKey } from '../../ta/signing-keys.js';
import { taElf } from '../../ta/ta-elf.js';
import type { TaFault, TaReport } from '../../ta/ta-report.js';
import { opteeFolder } from '../../worlds/qemu/optee-folder.js';
import { badUsage } from '../output/exit-code.js';
import { tellFailure } from '../output/failure.js';
import { printReport } from '../output/print-report.js';

/** In octets; larger than any OP-TEE can load. */
const longestImage = 2 ** 28;

interface InspectOptions {
  readonly optee?: string;
  readonly key?: string;
  readonly json?: boolean;
}

/** `normalworld ta inspect`. */
export function addTaInspectCommand(ta: Command): void {
  ta.command('inspect')
    .summary('describe an image of a trusted application, and whether OP-TEE will load it')
    .description(
      'Reads images of trusted applications: header, UUID compared with the file name, version, hash, signer, ' +
        'encryption, flags, stack and heap; and prints the result that OP-TEE gives when a session is opened.',
    )
    .argument('<files...>', '<uuid>.ta')
    .option('--optee <name or file>', 'the OP-TEE to load it (default: the fetched one)')
    .option('--key <file>', 'a key, PEM, public or private, to check the signature with')
    .option('--json', 'print one JSON array')
    .addHelpText(
      'after',
      `
Exit codes:
  0  OP-TEE will load all of them, according to the files
  1  OP-TEE will refuse at least one
  2  bad usage, or a file that cannot be read; the other files are reported

Examples:
  $ normalworld ta inspect build/ta/*.ta
  $ normalworld ta inspect --json build/ta/*.ta | jq -r '.[].flags'`,
    )
    .action(async (files: readonly string[], options: InspectOptions) => {
      try {
        const image = options.optee === undefined ? opteeFolder().image : (await opteeNamed(options.optee)).image;
        const keys = await knownKeys(image, options.key === undefined ? [] : [await signingKey(options.key)]);
        const reports: (TaReport & { readonly file: string })[] = [];
        const unread: Error[] = [];
        for (const file of files) {
          const image = await readWhole(file, longestImage).catch((error: Error) => error);
          if (image instanceof Error) {
            unread.push(image);
            continue;
          }
          const report = inspectTa(image, { named: uuidOf(file), ...keys });
          reports.push({
            ...{ file, ...report, heap: report.heap ?? (await heapBeside(file)) },
            faults: [...report.faults, ...faultsOfName(file)],
          });
        }
        if (options.json) console.log(JSON.stringify(reports, null, 2));
        else if (reports.length > 0) printReport(reports.map((report) => text(report)).join('\n\n'));
        if (reports.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
        for (const { message } of unread) console.error(`normalworld: ${message}`);
        if (unread.length > 0) process.exitCode = badUsage;
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

function uuidOf(file: string): string | undefined {
  try {
    return parseUuid(basename(file).replace(/\.[a-z.]+$/, ''));
  } catch {
    return undefined;
  }
}

/** A name that secure world never requests. */
function faultsOfName(file: string): readonly TaFault[] {
  const name = basename(file);
  if (!name.endsWith('.ta') || imageUuid(name) !== undefined) return [];
  const detail = `the file is named ${name}, but only <uuid>.ta, in lower case, is searched for`;
  return [{ what: 'misnamed', answer: 'TEEC_ERROR_ITEM_NOT_FOUND', detail }];
}

/** The heap size, from the unstripped ELF file of the build; the signed image does not contain it. */
async function heapBeside(file: string): Promise<number | undefined> {
  const elf = await readRegularFile(file.replace(/\.ta$/, '.elf')).catch(() => undefined);
  return elf === undefined ? undefined : taElf(elf)?.heap;
}

function signerOf(signer: string | undefined, faults: readonly TaFault[]): string {
  if (signer !== undefined) return signer;
  // A signature is verified over the content.
  const isDamaged = faults.some(({ what }) => what === 'truncated' || what === 'altered');
  return isDamaged ? 'not checked' : 'an unknown key';
}

function text({ file, ...report }: TaReport & { readonly file: string }): string {
  const { kind, uuid, version, hash, algorithm, signer, bits, stack, heap, writable, flags, flagBits, needed, faults } =
    report;
  const rows: (readonly [string, string | undefined])[] = [
    ['kind', kind === 'subkey' ? 'signed through a subkey' : kind],
    ['UUID', uuid],
    ['version', version?.toString()],
    ['signed by', algorithm === undefined ? undefined : `${signerOf(signer, faults)}, ${algorithm}`],
    ['hash', hash],
    ['code', bits === undefined ? undefined : `${bits}-bit`],
    ['stack', stack === undefined ? undefined : `${stack} bytes`],
    ['heap', heap === undefined ? undefined : `${heap} bytes`],
    ['data', writable === undefined ? undefined : `${writable} bytes, including the heap`],
    ['flags', flags === undefined ? undefined : `${flags.join(', ') || 'none'} (0x${(flagBits ?? 0).toString(16)})`],
    ['needs', needed === undefined || needed.length === 0 ? undefined : needed.join(', ')],
  ];
  const verdict =
    faults.length === 0
      ? ['  OP-TEE     will load it, according to the file']
      : faults.map(({ detail, answer }) => `  OP-TEE     will answer ${answer}: ${detail}`);
  return [
    file,
    ...rows.filter(([, value]) => value !== undefined).map(([name, value]) => `  ${name.padEnd(10)} ${value}`),
    ...verdict,
  ].join('\n');
}
