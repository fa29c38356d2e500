import { dirname, join } from 'node:path';
import type { Tee } from '../../client/tee.js';
import { machineClock } from '../../clock/clock.js';
import { startInterval } from '../../clock/timer.js';
import { CoverageMap } from '../../coverage/coverage-map.js';
import { coveragePlugin } from '../../coverage/coverage-plugin.js';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { type OpenTeeOptions, openTee } from '../../open-tee.js';
import { ConduitError } from '../../protocol/conduit.js';
import { type SecureWorld, secureWorldBut } from '../../protocol/secure-world.js';
import { ElfFolders } from '../../symbolize/elf-folder.js';
import { EventKind } from '../../trace/event-codec.js';
import { Trace } from '../../trace/trace.js';
import { QemuWorld } from '../../worlds/qemu/qemu-world.js';
import type { Machine } from '../engine/machine.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';
import { consoleVerdicts, tellsOfDeath } from './console-verdict.js';
import { isOnPurpose } from './deaths-on-purpose.js';

/** The OP-TEE under test. */
export interface OpteeUnderTest {
  /** Path of its image. */
  readonly image: string;
  readonly qemu?: string;
  /** Folders of trusted applications, with their ELF files for symbols. */
  readonly taFolders: readonly string[];
  /** False: do not measure coverage, for comparison. */
  readonly coverage?: boolean;
  /** Longest time without progress of a call, in milliseconds of QEMU's CPU time; 5000 when left out. */
  readonly hangMs?: number;
  /** Wraps the secure world that the driver gets. */
  readonly between?: (world: SecureWorld) => SecureWorld;
  readonly tee?: Partial<OpenTeeOptions>;
}

/** Number of console lines kept for an execution. */
const keptLines = 400;
const lookMs = 100;
/** A call that waits in the normal world because its application asked for it is ended after this many milliseconds. */
const patienceMs = 500;
/**
 * The same limit, as a multiple, if it makes progress in between; and how long it may go on waiting after its client was
 * ended, before OP-TEE is. An application in whose session another application waits cannot pass the cancellation on.
 */
const mostPatiences = 10;
/** The limit for a call that executes, as a multiple of `hangMs` in wall-clock time, even if it makes progress. */
const mostLimits = 20;
const defaultHangMs = 5000;
/** How long to busy-wait for a result, in microseconds: coverage makes calls slower. */
const spinMicroseconds = 2000;

/** OP-TEE in QEMU on which inputs are executed: its coverage, its console, and whether it is alive. */
export class OpteeMachine implements Machine {
  /** Console output of this execution. */
  private lines: string[] = [];
  private sawDeath = false;
  private readonly violations: string[] = [];
  private ended: Error | undefined;
  private busySince: number | undefined;
  private progress = { mark: 0, cpuMs: 0, at: 0 };
  private hung: string | undefined;
  /** When the client of a waiting call was ended. */
  private impatientSince: number | undefined;
  /** Whether OP-TEE was ended because the call kept waiting. */
  private gaveUp = false;
  /** Consecutive checks in which a call waited and no new code ran, and the coverage at the first of them. */
  private waitingLooks = 0;
  private waitingMark = -1;
  private stopWatching: () => void = () => undefined;
  private onWaiting: () => void = () => undefined;

  private constructor(
    readonly tee: Tee,
    readonly world: QemuWorld,
    private readonly map: CoverageMap | undefined,
    private readonly elves: ElfFolders,
    private readonly hangMs: number,
  ) {
    void world.ended.then((error) => {
      this.ended ??= error;
    });
    this.stopWatching = startInterval(lookMs, () => this.look(), { background: true });
  }

  /** @throws Error if OP-TEE does not boot, or if coverage cannot be measured. */
  static async boot(options: OpteeUnderTest): Promise<OpteeMachine> {
    const elves = new ElfFolders(options.taFolders, join(dirname(options.image), 'tee.elf'));
    const map = options.coverage === false ? undefined : new CoverageMap(await coveragePlugin(options.qemu));
    const early: string[] = [];
    let machine: OpteeMachine | undefined;
    let world: QemuWorld | undefined;
    try {
      world = await QemuWorld.start({
        ...{ optee: options.image, cpus: 1 },
        ...(options.qemu === undefined ? {} : { qemu: options.qemu }),
        spinMicroseconds,
        ...(map === undefined ? {} : { coverage: map }),
        onConsoleLine: ({ text }) => (machine === undefined ? early.push(text) : machine.readLine(text)),
      });
      const trace = new Trace(machineClock);
      const tee = await openTee({
        ...{
          world: options.between?.(world) ?? secureWorldBut(world, {}),
          taFolders: options.taFolders,
          trace,
          emmc: {},
        },
        ...options.tee,
      });
      machine = new OpteeMachine(tee, world, map, elves, options.hangMs ?? defaultHangMs);
      const { violations } = machine;
      trace.attach({
        record: (kind, _time, _call, _a, _b, _c, text) => {
          if (kind === EventKind.protocolViolation) violations.push(text);
        },
      });
      machine.drain(() => undefined);
      return machine;
    } catch (error) {
      await world?.[Symbol.asyncDispose]();
      map?.[Symbol.dispose]();
      throw error;
    }
  }

  get about(): string {
    const { major, minor, buildId } = this.tee.info.osRevision;
    return `OP-TEE ${major}.${minor} (build ${buildId.toString(16)})`;
  }

  get isDead(): boolean {
    return this.ended !== undefined;
  }

  drain(each: (feature: number, count: number) => void): void {
    this.map?.drainEdges(each);
  }

  /**
   * Execute an input and return its verdicts.
   * @param onWaiting called when a call has been waiting in the normal world for too long and is to be ended.
   */
  async execute(work: () => Promise<readonly Verdict[]>, onWaiting: () => void): Promise<readonly Verdict[]> {
    this.lines.length = 0;
    this.violations.length = 0;
    this.sawDeath = false;
    this.impatientSince = undefined;
    this.gaveUp = false;
    this.waitingLooks = 0;
    this.waitingMark = -1;
    this.onWaiting = onWaiting;
    this.busySince = performance.now();
    this.progress = { mark: -1, cpuMs: 0, at: this.busySince };
    let found: readonly Verdict[] = [];
    try {
      found = await work();
    } finally {
      this.busySince = undefined;
    }
    return [...found, ...this.verdicts()];
  }

  /** Whether a call may have been ended because it waited in the normal world for too long. */
  get wasImpatient(): boolean {
    return this.impatientSince !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended ??= new ConduitError('it was closed');
    this.stopWatching();
    // End secure world first, so that closing does not wait for calls that are in it.
    await this.world[Symbol.asyncDispose]();
    await this.tee.close({ graceMs: 0 }).catch(() => undefined);
    this.map?.[Symbol.dispose]();
  }

  private verdicts(): readonly Verdict[] {
    const verdicts: Verdict[] = [];
    // To wait for as long as a client says is no defect.
    if (this.gaveUp) return verdicts;
    if (this.hung !== undefined)
      verdicts.push({ kind: 'hang', signature: this.hung, what: this.hung, console: this.lines.slice(-40).join('\n') });
    else if (this.sawDeath || this.ended !== undefined) {
      const dead = consoleVerdicts(this.lines, this.elves);
      verdicts.push(...dead.filter((verdict) => !isOnPurpose(verdict)));
      if (this.ended !== undefined && !dead.some(({ kind }) => !kind.startsWith('ta-'))) {
        const [first = ''] = this.ended.message.split('\n');
        verdicts.push({
          kind: 'machine',
          signature: `machine: ${withoutNumbers(first)}`,
          what: first,
          console: this.ended.message,
        });
      }
    }
    // After secure world's end, violations of the protocol are only consequences.
    if (this.ended === undefined)
      for (const text of new Set(this.violations))
        verdicts.push({
          kind: 'protocol',
          ...{ signature: `protocol: ${withoutNumbers(text)}`, what: `OP-TEE violated the protocol: ${text}` },
        });
    return verdicts;
  }

  private readLine(text: string): void {
    if (this.lines.length < keptLines) this.lines.push(text);
    this.sawDeath ||= tellsOfDeath(text);
  }

  /** Check for progress: new code that was executed, or calls that returned. */
  private look(): void {
    const { busySince, world } = this;
    if (busySince === undefined || this.ended !== undefined) return;
    const now = performance.now();
    if (now - busySince < patienceMs) return;
    const mark = this.map?.edgesTaken ?? 0;
    if (this.tee.waiting().calls.length > 0) {
      // Secure world waits for the normal world here, possibly for an image that a loaded machine reads slowly.
      this.waitingLooks = mark === this.waitingMark ? this.waitingLooks + 1 : 0;
      this.waitingMark = mark;
      this.progress = { mark: -1, cpuMs: cpuMsOf(world.pid), at: now };
      const isLong = this.waitingLooks * lookMs >= patienceMs || now - busySince > mostPatiences * patienceMs;
      if (this.impatientSince === undefined) {
        if (!isLong) return;
        this.impatientSince = now;
        this.onWaiting();
      } else if (now - this.impatientSince > mostPatiences * patienceMs) {
        this.gaveUp = true;
        void world[Symbol.asyncDispose]();
      }
      return;
    }
    const cpuMs = cpuMsOf(world.pid);
    if (mark !== this.progress.mark) this.progress = { mark, cpuMs, at: now };
    const stands = cpuMs - this.progress.cpuMs > this.hangMs || now - this.progress.at > mostLimits * this.hangMs;
    if (!stands && now - busySince < mostLimits * this.hangMs) return;
    this.hung = stands
      ? 'A call does not return: secure world loops or is stopped'
      : 'A call does not return, though secure world keeps running new code';
    void world[Symbol.asyncDispose]();
  }
}

/** CPU time of a process, in milliseconds. */
function cpuMsOf(pid: number | undefined): number {
  try {
    const fields = readRegularFileSync(`/proc/${pid}/stat`)
      .toString()
      .replace(/^.*\) /s, '')
      .split(' ');
    // /proc counts in clock ticks; USER_HZ is 100 on every Linux that Node supports.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}
