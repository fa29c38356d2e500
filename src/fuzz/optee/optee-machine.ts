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

/** The OP-TEE that is fuzzed. */
export interface OpteeUnderTest {
  /** Its image. */
  readonly image: string;
  readonly qemu?: string;
  /** Where applications are, with their ELFs beside them. */
  readonly taFolders: readonly string[];
  /** False: no coverage is measured, for comparison. */
  readonly coverage?: boolean;
  /** For how long a call may make no progress, in milliseconds of QEMU's processor time; 5000 when left out. */
  readonly hangMs?: number;
  /** How long a result is spun for, in microseconds, 2000 when left out, as coverage makes calls slower: 0 lets who makes a call do something while it is inside. */
  readonly spinMicroseconds?: number;
  /** What stands between the driver and the world. */
  readonly between?: (world: SecureWorld) => SecureWorld;
  readonly tee?: Partial<OpenTeeOptions>;
}

/** Lines of the console that are kept of an execution. */
const keptLines = 400;
const lookMs = 100;
/** A call that waits in the normal world, for a time that its application asked for, is not waited for longer. */
const patienceMs = 500;
/** However often it goes on meanwhile: so many times as long. */
const mostPatiences = 10;
/** However busy it is: so many times the limit it may take to come back. */
const mostLimits = 20;
const defaultHangMs = 5000;
const defaultSpinMicroseconds = 2000;

/** OP-TEE in QEMU while inputs are executed on it: what it covers, what it says, whether it goes on. */
export class OpteeMachine implements Machine {
  /** What the console said in this execution. */
  private lines: string[] = [];
  private sawDeath = false;
  private readonly violations: string[] = [];
  private ended: Error | undefined;
  private busySince: number | undefined;
  private progress = { mark: 0, cpuMs: 0, at: 0 };
  private hung: string | undefined;
  private impatient = false;
  /** Looks in a row at which a call waited and nothing ran, and what had run by then. */
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

  /** @throws Error when it does not boot, or coverage cannot be measured. */
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
        spinMicroseconds: options.spinMicroseconds ?? defaultSpinMicroseconds,
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
   * Do something with it, and say what of it may not be.
   * @param onWaiting a call has been waiting in the normal world for long: it is to be ended.
   */
  async execute(work: () => Promise<readonly Verdict[]>, onWaiting: () => void): Promise<readonly Verdict[]> {
    this.lines.length = 0;
    this.violations.length = 0;
    this.sawDeath = false;
    this.impatient = false;
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

  /** Whether a call may have been ended because it took too long in the normal world. */
  get wasImpatient(): boolean {
    return this.impatient;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended ??= new ConduitError('it was closed');
    this.stopWatching();
    // Clients that are inside lose their world: nobody waits for their good manners.
    await this.world[Symbol.asyncDispose]();
    await this.tee.close({ graceMs: 0 }).catch(() => undefined);
    this.map?.[Symbol.dispose]();
  }

  private verdicts(): readonly Verdict[] {
    const verdicts: Verdict[] = [];
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
    // A world that died answers nothing right.
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

  /** Is it getting on? Its progress is code that it did not run before, and calls that come back. */
  private look(): void {
    const { busySince, world } = this;
    if (busySince === undefined || this.ended !== undefined) return;
    const now = performance.now();
    if (now - busySince < patienceMs) return;
    const mark = this.map?.edgesTaken ?? 0;
    if (this.tee.waiting().calls.length > 0) {
      // It waits for us, not we for it. Where much else runs that may be to load its application.
      this.waitingLooks = mark === this.waitingMark ? this.waitingLooks + 1 : 0;
      this.waitingMark = mark;
      this.progress = { mark: -1, cpuMs: cpuMsOf(world.pid), at: now };
      const isLong = this.waitingLooks * lookMs >= patienceMs || now - busySince > mostPatiences * patienceMs;
      if (!this.impatient && isLong) {
        this.impatient = true;
        this.onWaiting();
      }
      return;
    }
    const cpuMs = cpuMsOf(world.pid);
    if (mark !== this.progress.mark) this.progress = { mark, cpuMs, at: now };
    const stands = cpuMs - this.progress.cpuMs > this.hangMs || now - this.progress.at > mostLimits * this.hangMs;
    if (!stands && now - busySince < mostLimits * this.hangMs) return;
    this.hung = stands
      ? 'A call does not return: secure world loops or stands still'
      : 'A call does not return, though secure world keeps running new code';
    void world[Symbol.asyncDispose]();
  }
}

/** Processor time that a process has had, in milliseconds. */
function cpuMsOf(pid: number | undefined): number {
  try {
    const fields = readRegularFileSync(`/proc/${pid}/stat`)
      .toString()
      .replace(/^.*\) /s, '')
      .split(' ');
    // In clock ticks, a hundred a second on every Linux that Node runs on.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}
