import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import { show } from '../../show.js';
import type { ConsoleLine } from './console-line.js';
import { maxCpus } from './mailbox.js';

/** A QEMU plugin, and the file that it writes. */
export interface MappedPlugin {
  readonly plugin: string;
  readonly fd: number;
}

/** Options of the QEMU world. */
export interface QemuWorldOptions {
  /** OP-TEE's image: tee-pager_v2.bin or tee.bin of a build for PLATFORM=vexpress-qemu_armv8a. */
  readonly optee: string;
  /** QEMU's program. Default: qemu-system-aarch64. */
  readonly qemu?: string;
  /** Flash image. Default: the one in this package. */
  readonly firmware?: string;
  /**
   * CPUs, 1..4. This is the number of calls that execute in secure world at once; further calls take turns. Default: 2,
   * or 1 on a host with fewer than four processors. OP-TEE invalidates TLBs on all its CPUs at each switch of
   * applications; on a host without a free processor this slows every call.
   */
  readonly cpus?: number;
  /** RAM in MiB, 64..3072. Default: 256. */
  readonly memoryMiB?: number;
  /**
   * Limit in milliseconds for one SMC to stay in secure world. Default: no limit. When it is exceeded, the world ends.
   * `openTee` also uses it as the limit of a whole call.
   */
  readonly callLimitMs?: number;
  /** Limit in milliseconds for the boot, and for each fast call. Default: 20,000. */
  readonly bootLimitMs?: number;
  /**
   * Microseconds to spin for a call's result, 0..1,000,000. Default: 400. Spinning blocks the event loop. After several
   * consecutive calls that take longer, the next ones sleep at once.
   */
  readonly spinMicroseconds?: number;
  /**
   * The TCP port on 127.0.0.1 for QEMU's gdb stub. With it, neither `callLimitMs` nor `bootLimitMs` applies, because a
   * debugger stops the CPUs.
   */
  readonly gdb?: number;
  /** Measures the executed code: a `CoverageMap`, or other QEMU plugins that take a file as `map=`. */
  readonly coverage?: MappedPlugin | readonly MappedPlugin[];
  /** Called with each line of the secure console. */
  readonly onConsoleLine?: (line: ConsoleLine) => void;
}

const names: OptionNames<QemuWorldOptions> = {
  ...{ optee: true, qemu: true, firmware: true, cpus: true, memoryMiB: true, callLimitMs: true, bootLimitMs: true },
  ...{ spinMicroseconds: true, onConsoleLine: true, gdb: true, coverage: true },
};

/** @throws TypeError naming an unknown option, or RangeError naming an invalid value. */
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
      throw new RangeError(`qemu: ${name} is ${show(ms)}; allowed: milliseconds from 0, and Infinity`);
  // At most one second, because spinning blocks the event loop.
  if (spinMicroseconds !== undefined && !(spinMicroseconds >= 0 && spinMicroseconds <= 1_000_000))
    throw new RangeError(`qemu: spinMicroseconds is ${show(spinMicroseconds)}; allowed: 0..1000000`);
}

function inRange(name: string, value: number | undefined, low: number, high: number): void {
  if (value !== undefined && !(Number.isInteger(value) && value >= low && value <= high))
    throw new RangeError(`qemu: ${name} is ${show(value)}; allowed: integers ${low}..${high}`);
}
