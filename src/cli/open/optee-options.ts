import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Tee } from '../../client/tee.js';
import { waitingCalls } from '../../client/waiting-calls.js';
import { type OpenTeeOptions, openTee } from '../../open-tee.js';
import { opteeNamed } from '../../optee-build/built-optee.js';
import { rpmbTestKey } from '../../protocol/rpmb.js';
import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import { parseTime } from '../../scenario/duration.js';
import { TeecError } from '../../tee/teec-error.js';
import { opteeFolder } from '../../worlds/qemu/optee-folder.js';
import { tellFailure } from '../output/failure.js';
import { refuseOthers } from './refuse-others.js';

/** Exit codes of commands on the real OP-TEE, for their help. */
export const opteeExitCodes = `
Exit codes:
  0  done
  1  OP-TEE could not be booted, or refused the request
  2  bad usage`;

/** Options of all commands on the real OP-TEE. */
export interface OpteeOptions {
  /** The TEE of this machine instead of one in QEMU. */
  readonly device?: string | true;
  readonly optee?: string;
  readonly ta?: readonly string[];
  readonly storage?: string;
  readonly storageReadOnly?: boolean;
  /** File of the eMMC card; false for `--no-rpmb`. */
  readonly rpmb?: string | false;
  readonly rpmbKey?: Uint8Array;
  readonly rpmbCid?: Uint8Array;
  readonly profiles?: string;
  /** False for `--no-sockets`. */
  readonly sockets?: boolean;
  /** False for `--no-supplicant`, in commands that serve the TEE to other programs. */
  readonly supplicant?: boolean;
  readonly qemu?: string;
  readonly cpus?: string;
  readonly gdb?: number;
  readonly console?: boolean;
  /** Milliseconds; Infinity for no limit. */
  readonly callLimit?: number;
  readonly json?: boolean;
}

/** Default time limit of calls that a command makes itself, because no user would notice a hang. Milliseconds. */
const ownCallLimitMs = 60_000;
/** A world switch may take this much longer than a call, so that the call's limit is reported first. Milliseconds. */
const switchGraceMs = 5000;

/** @param callLimitMs the default. */
export function callLimitOption(callLimitMs: number): Option {
  const option = new Option(
    '--call-limit <time>',
    'time limit of a call, after which it fails with TEEC_ERROR_TIMEOUT, such as 500ms, 30s or 5min; or none',
  ).argParser(parseCallLimit);
  return callLimitMs === Number.POSITIVE_INFINITY ? option : option.default(callLimitMs, `${callLimitMs / 1000}s`);
}

function parseCallLimit(text: string): number {
  const ms = text === 'none' ? Number.POSITIVE_INFINITY : parseTime(text);
  if (ms === undefined || ms < 1)
    throw new InvalidArgumentError('Allowed are a time with its unit (ms, s or min) from 1ms to 1440min, and none.');
  return ms;
}

/** The settings of `openTee` that limit its calls. */
export function limitsOf({ callLimit }: OpteeOptions): Pick<OpenTeeOptions, 'callLimitMs'> {
  return callLimit === undefined ? {} : { callLimitMs: callLimit };
}

/** Options that select the OP-TEE and its trusted applications. */
export function addWhichOptee(command: Command): Command {
  return command
    .option(
      '--optee <name or file>',
      'an OP-TEE other than the fetched one: a build on this machine (optee list), or your own image (tee-pager_v2.bin)',
    )
    .option(
      '--ta <folder>',
      'folder with trusted applications (<uuid>.ta), searched before the fetched ones; may be repeated',
      (folder: string, others: readonly string[] = []) => [...others, folder],
    );
}

/** @param callLimitMs the default time limit of a call, in milliseconds. */
export function addOpteeOptions(command: Command, callLimitMs = ownCallLimitMs): Command {
  return addWhichOptee(command)
    .option('--storage <folder>', 'folder that secure storage writes to (default: memory, lost afterwards)')
    .option('--storage-read-only', 'secure storage reads that folder and changes nothing in it')
    .option(
      '--rpmb <file>',
      "file for an eMMC card's RPMB partition, created if it does not exist (default: memory, lost afterwards); " +
        'use it with --storage: if the card knows files that are missing, OP-TEE assumes an attack',
    )
    .option('--no-rpmb', 'no eMMC card: an OP-TEE with its storage in RPMB then loads no trusted applications')
    .addOption(
      new Option(
        '--rpmb-key <key>',
        'program this key into a card without a key: 64 hexadecimal digits, or test (CFG_RPMB_TESTKEY)',
      ).argParser(rpmbKey),
    )
    .addOption(
      new Option(
        '--rpmb-cid <cid>',
        "the card's identification, 32 hexadecimal digits: a new card gets it, an existing card must have it",
      ).argParser(rpmbCid),
    )
    .option('--profiles <folder>', 'folder for the gprof and ftrace files of instrumented trusted applications')
    .option('--no-sockets', 'no network for trusted applications (default: that of this machine)')
    .option('--qemu <program>', 'your own QEMU instead of qemu-system-aarch64')
    .option('--cpus <number>', 'CPUs, 1 to 4 (default: 2)')
    .addOption(callLimitOption(callLimitMs))
    .addOption(
      new Option(
        '--gdb [port]',
        "QEMU's stub for gdb listens on this port of 127.0.0.1; normalworld.gdb has the addresses",
      )
        .preset('1234')
        .argParser(gdbPort),
    )
    .option('--console', "print OP-TEE's secure console to standard error");
}

/** For commands that also work with a board's TEE. */
export function addDeviceOption(command: Command): Command {
  return command.option(
    '--device [path]',
    "the TEE of this machine, behind Linux's own driver, or of a board (ssh://board), instead of OP-TEE in QEMU (default path: /dev/tee0)",
  );
}

/** Options that apply with `--device`. */
const ofDevice: readonly string[] = ['device', 'callLimit', 'json', 'repeat'];

/** The selected device; undefined for OP-TEE in QEMU. @throws RangeError for an option that only applies to QEMU. */
export function deviceOf(options: OpteeOptions, read: readonly string[] = []): string | undefined {
  if (options.device === undefined) return undefined;
  refuseOthers(
    options,
    new Set([...ofDevice, ...read]),
    'is for OP-TEE in QEMU: --device uses the TEE of this machine',
  );
  return typeof options.device === 'string' ? options.device : '/dev/tee0';
}

/** Folders with trusted applications, in search order. */
export async function taFolders(options: OpteeOptions): Promise<readonly string[]> {
  if (options.device !== undefined) return options.ta ?? [];
  const { trustedApplications = opteeFolder().trustedApplications } = await opteeNamed(options.optee);
  return [...(options.ta ?? []), trustedApplications];
}

/**
 * Refuse options that these options would make ineffective.
 * @throws RangeError naming one.
 */
export function checkSupplicantOptions(options: OpteeOptions): void {
  const { storage, storageReadOnly, supplicant, ta, profiles, sockets } = options;
  if (storageReadOnly && storage === undefined) throw new RangeError('--storage-read-only needs --storage');
  if (supplicant !== false) return;
  const given = {
    '--storage': storage,
    '--ta': ta,
    '--profiles': profiles,
    '--no-sockets': sockets === false || undefined,
  };
  for (const [flag, value] of Object.entries(given))
    if (value !== undefined)
      throw new RangeError(`${flag} is for the built-in supplicant, which --no-supplicant leaves out`);
}

/** The settings of `openTee` for the supplicant. */
export function supplicantOf({ supplicant, sockets }: OpteeOptions): Pick<OpenTeeOptions, 'supplicant'> {
  if (supplicant === false) return { supplicant: false };
  return sockets === false ? { supplicant: { sockets: false } } : {};
}

/** The settings of `openTee` for the eMMC card. */
export function emmcOf({ rpmb, rpmbKey, rpmbCid }: OpteeOptions): Pick<OpenTeeOptions, 'emmc'> {
  if (rpmb === false) {
    if (rpmbCid !== undefined) throw new RangeError('--rpmb-cid needs a card, but --no-rpmb means no card');
    if (rpmbKey !== undefined) throw new RangeError('--rpmb-key needs a card, but --no-rpmb means no card');
    return { emmc: false };
  }
  return {
    emmc: {
      ...(rpmb === undefined ? {} : { file: rpmb }),
      ...(rpmbKey === undefined ? {} : { key: rpmbKey }),
      ...(rpmbCid === undefined ? {} : { cid: rpmbCid }),
    },
  };
}

function gdbPort(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : 0;
  if (!(port >= 1 && port <= 65_535)) throw new InvalidArgumentError('Allowed are ports from 1 to 65535.');
  return port;
}

export function rpmbKey(text: string): Uint8Array {
  if (text === 'test') return rpmbTestKey.slice();
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('Allowed are 64 hexadecimal digits, and test.');
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function rpmbCid(text: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/i.test(text)) throw new InvalidArgumentError('Allowed are 32 hexadecimal digits.');
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** Boot OP-TEE or open a board's, run a command on it, and close it. Errors are printed as one paragraph. */
export async function onOptee(
  options: OpteeOptions,
  run: (tee: Tee) => Promise<void>,
  read?: readonly string[],
): Promise<void> {
  let device: string | undefined;
  try {
    device = deviceOf(options, read);
    checkSupplicantOptions(options);
    await using tee =
      device === undefined ? await bootedTee(options) : await openTee({ world: 'linux', device, ...limitsOf(options) });
    await run(tee).catch((error: unknown) => {
      // Do this before the TEE is closed, while its state shows where the call hangs.
      if (isLate(error)) {
        if (device === undefined) for (const each of waitingCalls(tee.waiting())) console.error(`normalworld: ${each}`);
        console.error('normalworld: use --call-limit for a longer limit');
      }
      throw error;
    });
  } catch (error) {
    tellFailure(error, device === undefined ? 'normalworld doctor says what is missing' : undefined);
  }
}

async function bootedTee(options: OpteeOptions): Promise<Tee> {
  const optee = await opteeNamed(options.optee);
  return openTee({
    world: 'qemu',
    taFolders: await taFolders(options),
    ...(options.storage === undefined ? {} : { storageFolder: options.storage }),
    ...(options.storageReadOnly === undefined ? {} : { storageReadOnly: options.storageReadOnly }),
    ...(options.profiles === undefined ? {} : { profileFolder: options.profiles }),
    ...supplicantOf(options),
    ...emmcOf(options),
    ...limitsOf(options),
    qemu: {
      ...(options.callLimit === undefined ? {} : { callLimitMs: options.callLimit + switchGraceMs }),
      ...(options.optee === undefined ? {} : { optee: optee.image }),
      ...(options.qemu === undefined ? {} : { qemu: options.qemu }),
      ...(options.cpus === undefined ? {} : { cpus: Number(options.cpus) }),
      ...(options.gdb === undefined ? {} : { gdb: options.gdb }),
      ...(options.console ? { onConsoleLine: ({ text }: { text: string }) => console.error(text) } : {}),
    },
  });
}

function isLate(error: unknown): boolean {
  return error instanceof TeecError && error.code === TeeResult.ERROR_TIMEOUT && error.origin === TeeOrigin.COMMS;
}
