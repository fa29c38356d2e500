import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { startTimer } from '../../clock/timer.js';
import { type Conduit, ConduitError } from '../../protocol/conduit.js';
import { Ffa } from '../../protocol/ffa.js';
import { isFastCall } from '../../protocol/optee-smc.js';
import { BufferMemory, type MemoryRange, type PhysicalMemory } from '../../protocol/physical-memory.js';
import type {
  InterruptSource,
  PanicSource,
  PhysicalMemoryFile,
  SecureWorld,
  TaPanicReport,
} from '../../protocol/secure-world.js';
import { unbreakable } from '../../warn.js';
import { watchBoot } from './boot-watch.js';
import { type ConsoleLine, isCorePanic } from './console-line.js';
import { ConsolePipe } from './console-pipe.js';
import { Mailbox, mailboxAddress, mailboxSize } from './mailbox.js';
import { MailboxConduit } from './mailbox-conduit.js';
import { MemoryFile } from './memory-file.js';
import { doubtsAbout, type OpteeImage } from './optee-image.js';
import { QemuMonitor } from './qemu-monitor.js';
import { checkQemuOptions, type QemuWorldOptions } from './qemu-options.js';
import { QemuProcess } from './qemu-process.js';
import { readOpteeImage } from './read-optee-image.js';
import { SecureConsole } from './secure-console.js';
import { TaDeaths } from './ta-death.js';

// firmware/layout.h
const ramAddress = 0x4000_0000;
const stagingAddress = 0x4100_0000;
const pageableStagingAddress = 0x4180_0000;
/** After the staging areas: memory at fixed addresses. Its first pages are the SCMI server's (scmi-platform/). */
const platformAddress = 0x41f0_0000;
/** CFG_SHMEM_START: start of the memory that the driver may use. Device tree and mailbox are below it. */
const sharedAddress = 0x4200_0000;
/** After the reserved shared memory (CFG_SHMEM_SIZE). */
const normalWorldRamAddress = 0x4220_0000;
const mebibyte = 1 << 20;

const shippedFirmware = fileURLToPath(new URL('../../../firmware/normalworld.bin', import.meta.url));

/** With one processor, spinning on one side would keep the other from running. */
const maySpin = availableParallelism() > 1;
/**
 * Doorbell polls of an idle CPU before it sleeps, about 1.5 ms. This is longer than the host needs between two
 * consecutive calls, also when its code runs for the first time. With fewer polls both sides sleep in turn, and the
 * kernel then tends to keep them on one core.
 */
const polls = 300_000;
/** Milliseconds between two reads of the secure console while OP-TEE is active. */
const consoleIntervalMs = 20;
/** Milliseconds of silence on the secure console after which the output of a panic is complete. */
const panicSilenceMs = 50;

/** The real OP-TEE OS, in QEMU, without Linux: `QemuWorld.start(options)`. */
export class QemuWorld implements SecureWorld {
  readonly name = 'OP-TEE in QEMU';
  readonly conduit: Conduit;
  readonly memory: PhysicalMemory;
  readonly platformMemory: PhysicalMemory;
  readonly memoryFile: PhysicalMemoryFile;
  readonly normalWorldRam: readonly MemoryRange[];
  /** OP-TEE's asynchronous notifications: SPI 187, announced in the device tree; over FF-A an SGI. */
  readonly notificationInterrupt: InterruptSource = {
    listen: (handler) => {
      this.interruptHandlers.add(handler);
      return () => this.interruptHandlers.delete(handler);
    },
  };
  /** Panics of trusted applications, parsed from the console. */
  readonly panics: PanicSource = {
    listen: (handler) => {
      const told = unbreakable('a listener to panics', handler);
      this.panicHandlers.add(told);
      return () => this.panicHandlers.delete(told);
    },
  };
  private readonly console: SecureConsole;
  private readonly tellLine: (line: ConsoleLine) => void;
  private readonly deaths = new TaDeaths();
  private readonly panicHandlers = new Set<(panic: TaPanicReport) => void>();
  private readonly interruptHandlers = new Set<() => void>();
  private readonly mailboxConduit: MailboxConduit;
  private readonly booted: Promise<void>;
  private resolveBoot: () => void = () => undefined;
  private rejectBoot: (error: ConduitError) => void = () => undefined;
  /** Each function cancels its timer. */
  private panicTimer: (() => void) | undefined;
  private consoleTimer: (() => void) | undefined;
  private readonly monitor: QemuMonitor;
  private tellEnd: (error: ConduitError) => void = () => undefined;
  readonly ended = new Promise<ConduitError>((resolve) => {
    this.tellEnd = resolve;
  });
  private isBooting = true;
  /** Signs that the image is unsuitable, shown if it does not boot. */
  private doubts: readonly string[] = [];
  private disposed = false;
  private failed = false;

  private constructor(
    private readonly file: MemoryFile,
    private readonly process: QemuProcess,
    private readonly mailbox: Mailbox,
    private readonly consolePipe: ConsolePipe,
    options: QemuWorldOptions,
  ) {
    const ram = file.size - (sharedAddress - ramAddress);
    this.memory = new BufferMemory(sharedAddress, file.view(sharedAddress - ramAddress, ram));
    const platform = file.view(platformAddress - ramAddress, sharedAddress - platformAddress);
    this.platformMemory = new BufferMemory(platformAddress, platform);
    this.memoryFile = { fd: file.fd, base: ramAddress };
    this.normalWorldRam = [{ base: normalWorldRamAddress, size: sharedAddress + ram - normalWorldRamAddress }];
    const bootLimitMs = bootLimitOf(options);
    this.tellLine = unbreakable('onConsoleLine', (line) => options.onConsoleLine?.(line));
    this.console = new SecureConsole((line) => this.onConsoleLine(line));
    this.mailboxConduit = new MailboxConduit(mailbox, {
      cpus: options.cpus ?? defaultCpus,
      spinMicroseconds: maySpin ? (options.spinMicroseconds ?? defaultSpinMicroseconds) : 0,
      limitMs: (functionId) =>
        Math.min(
          options.gdb === undefined ? (options.callLimitMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
          isShort(functionId) ? bootLimitMs : Number.POSITIVE_INFINITY,
        ),
      ready: () => {
        this.isBooting = false;
        this.resolveBoot();
      },
      entered: () => this.watchConsole(),
      // Before the results: the output of a call must be delivered when the call returns.
      returned: () => this.beforeResults(),
      ring: (cpu) => process.bell.write(Uint8Array.of(cpu)),
      failed: (reason) => this.fail(reason),
      interrupt: () => {
        for (const handler of this.interruptHandlers) handler();
      },
    });
    this.conduit = this.mailboxConduit;
    this.monitor = new QemuMonitor(process.monitor);
    this.booted = new Promise((resolve, reject) => {
      this.resolveBoot = resolve;
      this.rejectBoot = reject;
    });
    process.bell.on('data', () => this.mailboxConduit.onBell());
    this.watchConsole();
    void process.ended.then((how) => this.fail(`QEMU ${how}`));
  }

  /**
   * Boot OP-TEE. Resolves when the first CPU can take calls.
   * @throws ConduitError with the tail of the secure console if it does not boot.
   */
  static async start(options: QemuWorldOptions): Promise<QemuWorld> {
    checkQemuOptions(options);
    const cpus = options.cpus ?? defaultCpus;
    const memorySize = (options.memoryMiB ?? defaultMemoryMiB) * mebibyte;
    const firmware = options.firmware ?? shippedFirmware;
    const file = MemoryFile.create('normalworld', memorySize);
    let consolePipe: ConsolePipe | undefined;
    let world: QemuWorld;
    let mailbox: Mailbox;
    try {
      consolePipe = new ConsolePipe();
      mailbox = new Mailbox(file.view(mailboxAddress - ramAddress, mailboxSize));
      mailbox.polls = maySpin ? polls : 0;
      const process = QemuProcess.start({
        ...{ program: options.qemu ?? defaultQemu, firmware, cpus, memorySize, memoryFd: file.fd },
        consoleFd: consolePipe.fd,
        gdb: options.gdb,
        plugins: [options.coverage ?? []].flat(),
      });
      world = new QemuWorld(file, process, mailbox, consolePipe, options);
    } catch (error) {
      file[Symbol.dispose]();
      consolePipe?.[Symbol.dispose]();
      throw error;
    }
    const bootLimitMs = bootLimitOf(options);
    const cancels = [startTimer(bootLimitMs, () => world.fail(`OP-TEE did not boot within ${bootLimitMs} ms`))];
    try {
      const stage = async () => {
        // Read while QEMU starts.
        const loaded = await readImage(options.optee);
        world.doubts = doubtsAbout(loaded.image);
        stageImage(loaded, file, mailbox);
        if (world.isBooting && options.gdb === undefined) cancels.push(world.watchBoot());
      };
      await Promise.all([stage(), world.booted]);
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    } finally {
      for (const cancel of cancels) cancel();
    }
  }

  /** The ABI of the image: SMC, or FF-A if OP-TEE is its own partition manager. */
  get abi(): 'smc' | 'ffa' {
    return this.mailbox.abi;
  }

  /** Deliver the console output so far. QEMU writes each character while OP-TEE prints it. */
  readConsole(): void {
    if (this.disposed || !this.consolePipe.hasMore()) return;
    this.console.write(this.consolePipe.read());
  }

  /** Resolves after two intervals without output. */
  readonly consoleIdle = async (): Promise<void> => {
    for (let silent = 0; silent < 2 && !this.disposed; ) {
      await new Promise<void>((resolve) => startTimer(consoleIntervalMs, resolve));
      silent = this.consolePipe.hasMore() ? 0 : silent + 1;
      this.readConsole();
    }
  };

  private beforeResults(): void {
    this.readConsole();
    const death = this.deaths.take();
    if (death !== undefined) for (const handler of this.panicHandlers) handler(death);
  }

  /** Process id of QEMU. */
  get pid(): number | undefined {
    return this.process.pid;
  }

  /** The output of a command of QEMU's human monitor; undefined if QEMU does not answer within a second. */
  monitorCommand(line: string): Promise<string | undefined> {
    return this.monitor.command(line);
  }

  /** End QEMU and release the memory. Calls inside end with a ConduitError. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.fail('the world was closed');
    this.panicTimer?.();
    this.consoleTimer?.();
    this.process.kill();
    await this.process.ended;
    this.file[Symbol.dispose]();
    this.consolePipe[Symbol.dispose]();
  }

  private watchBoot(): () => void {
    return watchBoot({
      pid: this.pid,
      registers: () => this.monitor.command('info registers'),
      standsStill: (address) => {
        const where = address === undefined ? '' : ` at 0x${address}`;
        this.fail(`OP-TEE did not boot, it makes no progress${where}: the image is truncated, or not for this machine`);
      },
    });
  }

  /** Read the console regularly while OP-TEE boots or has a call; not while it is idle. */
  private watchConsole(): void {
    this.consoleTimer ??= startTimer(
      consoleIntervalMs,
      () => {
        this.consoleTimer = undefined;
        if (this.failed) return;
        this.console.write(this.consolePipe.read());
        if (this.isBooting || this.mailboxConduit.busy) this.watchConsole();
      },
      { background: true },
    );
  }

  private onConsoleLine(line: ConsoleLine): void {
    // After a panic OP-TEE prints its call stack, and then nothing more.
    if (this.panicTimer !== undefined || isCorePanic(line)) {
      this.panicTimer?.();
      this.panicTimer = startTimer(panicSilenceMs, () => this.fail('OP-TEE panicked'));
    }
    this.deaths.read(line);
    this.tellLine(line);
  }

  private fail(reason: string): void {
    if (this.failed) return;
    this.failed = true;
    this.console.write(this.consolePipe.read());
    const { tail } = this.console;
    const doubts = this.isBooting && !this.disposed ? this.doubts.map((doubt) => `\nThe image: ${doubt}`) : [];
    const said = tail === '' || this.disposed ? '' : `\nThe secure console ends with:\n${tail}`;
    const error = new ConduitError(`${reason}${doubts.join('')}${said}`, { brief: reason });
    this.tellEnd(error);
    this.mailboxConduit.fail(error);
    this.rejectBoot(error);
    this.process.kill();
  }
}

const defaultQemu = 'qemu-system-aarch64';
const defaultCpus = availableParallelism() < 4 ? 1 : 2;
const defaultMemoryMiB = 256;
const defaultBootLimitMs = 20_000;
const defaultSpinMicroseconds = 400;

/** The boot limit. There is none with gdb, because a debugger stops the CPUs. */
function bootLimitOf({ bootLimitMs = defaultBootLimitMs, gdb }: QemuWorldOptions): number {
  return gdb === undefined ? bootLimitMs : Number.POSITIVE_INFINITY;
}

/**
 * Whether a function is a short call. A fast call does little and is not interrupted, so it has a limit even if calls
 * have none. The FF-A functions that carry yielding calls are fast calls by their number, but not short.
 */
function isShort(functionId: number): boolean {
  return isFastCall(functionId) && functionId !== Ffa.msgSendDirectReq && functionId !== Ffa.run;
}

/** Put OP-TEE's image into the staging area, from which the waiting monitor copies it. */
function stageImage({ image, pageable }: OpteeImage, file: MemoryFile, mailbox: Mailbox): void {
  mailbox.pageableSize = stage(pageable, pageableStagingAddress, file);
  mailbox.opteeSize = stage(image, stagingAddress, file);
}

/** @returns the number of bytes to copy; the monitor copies 16 at a time. */
function stage(bytes: Uint8Array, address: number, file: MemoryFile): number {
  const size = Math.ceil(bytes.length / 16) * 16;
  if (size > 0) new Uint8Array(file.view(address - ramAddress, size)).set(bytes);
  return size;
}

async function readImage(path: string): Promise<OpteeImage> {
  try {
    return await readOpteeImage(path);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new Error(`no OP-TEE image: ${(error as Error).message}; get one with: npx normalworld optee fetch`, {
      cause: error,
    });
  }
}
