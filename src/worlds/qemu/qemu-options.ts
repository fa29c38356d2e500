import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import type { ConsoleLine } from './console-line.js';
import { maxCpus } from './mailbox.js';

/** A plugin of QEMU's, and the file that it writes into. */
export interface MappedPlugin {
  readonly plugin: string;
  readonly fd: number;
}

export interface QemuWorldOptions {
  /** OP-TEE's image: tee-pager_v2.bin or tee.bin of a build for PLATFORM=vexpress-qemu_armv8a. */
  readonly optee: string;
  /** QEMU's program (default: qemu-system-aarch64). */
  readonly qemu?: string;
  /** Flash image (default: the one that comes with this package). */
  readonly firmware?: string;
  /**
   * CPUs, 1..4. As many calls execute in secure world at once; further ones take turns. The default is 2, but 1 on a
   * host with fewer than four processors: OP-TEE invalidates translations on all its CPUs at each switch of applications,
   * and a host without a processor to spare pays for it with every call.
   */
  readonly cpus?: number;
  /** RAM in MiB, 64..3072 (default 256). */
  readonly memoryMiB?: number;
  /**
   * How long one SMC may stay in secure world, in milliseconds (default: for ever). When it is over, the world ends.
   * `openTee` takes it as the limit of a whole call as well.
   */
  readonly callLimitMs?: number;
  /** How long the boot, and each fast call, may take, in milliseconds (default 20,000). */
  readonly bootLimitMs?: number;
  /**
   * How long a call's result may be spun for, in microseconds (default 400): the time for which a call may block the
   * event loop. After several calls in a row that take longer the next ones sleep at once.
   */
  readonly spinMicroseconds?: number;
  /**
   * QEMU's stub for gdb listens on this TCP port of 127.0.0.1. Who debugs stops the clocks: there are no limits then, neither
   * `callLimitMs` nor `bootLimitMs`.
   */
  readonly gdb?: number;
  /** Measure what code runs: a `CoverageMap`, or other plugins of QEMU's that are given a file by `map=`. */
  readonly coverage?: MappedPlugin | readonly MappedPlugin[];
  /** Called with each line of the secure console. */
  readonly onConsoleLine?: (line: ConsoleLine) => void;
}

const names: OptionNames<QemuWorldOptions> = {
  ...{ optee: true, qemu: true, firmware: true, cpus: true, memoryMiB: true, callLimitMs: true, bootLimitMs: true },
  ...{ spinMicroseconds: true, onConsoleLine: true, gdb: true, coverage: true },
};

/** @throws TypeError or RangeError naming what is no option, or an option's value that cannot be. */
export function checkQemuOptions(options: Partial<QemuWorldOptions>): void {
  requireKnownOptions<Partial<QemuWorldOptions>>('qemu', options, names);
  const {
    optee,
    qemu,
    firmware,
    cpus,
    memoryMiB,
    callLimitMs,
    bootLimitMs,
    spinMicroseconds,
    gdb,
    coverage,
    ...handlers
  } = options;
  for (const [name, path] of Object.entries({ optee, qemu, firmware }))
    if (path !== undefined && (typeof path !== 'string' || path === ''))
      throw new TypeError(`qemu: ${name} must be a path, not ${path === '' ? 'an empty one' : typeof path}`);
  for (const [name, handler] of Object.entries(handlers))
    if (handler !== undefined && typeof handler !== 'function')
      throw new TypeError(`qemu: ${name} must be a function, not ${typeof handler}`);
  for (const each of coverage === undefined ? [] : [coverage].flat())
    if (typeof each?.plugin !== 'string' || typeof each.fd !== 'number')
      throw new TypeError('qemu: coverage must be a CoverageMap');
  inRange('gdb', gdb, 1, 65_535);
  inRange('cpus', cpus, 1, maxCpus);
  inRange('memoryMiB', memoryMiB, 64, 3072);
  for (const [name, ms] of Object.entries({ callLimitMs, bootLimitMs }))
    if (ms !== undefined && !(typeof ms === 'number' && ms >= 0))
      throw new RangeError(`${name} is ${String(ms)}; allowed: milliseconds from 0, and Infinity`);
  // Longer than a second nobody wants the event loop blocked.
  if (spinMicroseconds !== undefined && !(spinMicroseconds >= 0 && spinMicroseconds <= 1_000_000))
    throw new RangeError(`spinMicroseconds is ${spinMicroseconds}; allowed: 0..1000000`);
}

function inRange(name: string, value: number | undefined, low: number, high: number): void {
  if (value !== undefined && !(Number.isInteger(value) && value >= low && value <= high))
    throw new RangeError(`${name} is ${value}; allowed: integers ${low}..${high}`);
}
