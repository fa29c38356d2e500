import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { startTimer } from '../../clock/timer.js';
import type { MappedPlugin } from './qemu-options.js';

export interface QemuOptions {
  /** The program: a name to be found in PATH, or a path. */
  readonly program: string;
  /** Flash image. */
  readonly firmware: string;
  readonly cpus: number;
  /** File descriptor of the RAM's memory file, and its size in bytes. */
  readonly memoryFd: number;
  readonly memorySize: number;
  /** The TCP port of 127.0.0.1 that QEMU's stub for gdb listens on. */
  readonly gdb?: number | undefined;
  /** Each gets its file as its map. */
  readonly plugins: readonly MappedPlugin[];
  /** File descriptor of what takes UART1, OP-TEE's secure console. */
  readonly consoleFd: number;
}

/** What the child's file descriptors beyond the standard three are. */
const bellFd = 3;
const consoleFd = 4;
const memoryFd = 5;
const monitorFd = 6;
const firstPluginFd = 7;

const maxErrorOutput = 4096;
/** How long a process that has ended may still be heard of by those that it started. */
const lingerMs = 500;

/**
 * A QEMU that cannot outlive this process: the kernel kills it when the thread that started it ends (PR_SET_PDEATHSIG,
 * through setpriv), also when that is killed itself. As the parent may have ended before that was arranged, a shell
 * compares its parent's number before it becomes QEMU.
 */
export class QemuProcess {
  /** UART0, the bell in both directions. */
  readonly bell: Duplex;
  /** QEMU's machine protocol. */
  readonly monitor: Duplex;
  /** Resolves, in words, when the process is gone: with the exit code, the signal, or why it did not start. */
  readonly ended: Promise<string>;
  private errorOutput = '';

  private constructor(private readonly child: ChildProcess) {
    const stdio: readonly unknown[] = child.stdio;
    this.bell = stdio[bellFd] as Duplex;
    this.monitor = stdio[monitorFd] as Duplex;
    // A pipe whose other end has gone: `ended` tells it.
    this.bell.on('error', () => undefined);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errorOutput = (this.errorOutput + text).slice(-maxErrorOutput);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('exit', () => {
        // What it started without becoming it may hold the other ends for ever.
        startTimer(lingerMs, () => this.letGo(), { background: true });
      });
      child.once('close', (code, signal) => {
        const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
        resolve(this.errorOutput === '' ? how : `${how}: ${this.errorOutput.trim()}`);
      });
    });
  }

  static start(options: QemuOptions): QemuProcess {
    const child = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'KILL', 'sh', '-c', '[ "$PPID" = "$0" ] && exec "$@"'],
        ...[String(process.pid), options.program, ...commandLine(options)],
      ],
      // In a session of its own: Ctrl-C in a terminal is for us, who close in good order, and not for QEMU. Its parent's
      // death still ends it, which has nothing to do with sessions.
      {
        detached: true,
        stdio: [
          'ignore',
          'ignore',
          'pipe',
          'pipe',
          options.consoleFd,
          options.memoryFd,
          'pipe',
          ...options.plugins.map(({ fd }) => fd),
        ],
      },
    );
    return new QemuProcess(child);
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** With all that it started, as a script in QEMU's place may have, unless that has a session of its own. */
  kill(): void {
    const { pid } = this.child;
    if (pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It leads no group.
      this.child.kill('SIGKILL');
    }
  }

  private letGo(): void {
    for (const stream of this.child.stdio) stream?.destroy();
  }
}

function commandLine({ firmware, cpus, memorySize, gdb, plugins }: QemuOptions): string[] {
  const size = `${memorySize}B`;
  return [
    // Without default devices: nothing there that nobody asked for, and no option ROM to be found.
    ...['-nodefaults', '-no-user-config'],
    // EL3, and memory that only TrustZone sees; without what nobody here uses and costs part of the start.
    ...['-M', 'virt,secure=on,gic-version=3,its=off,acpi=off,memory-backend=ram'],
    ...['-object', `memory-backend-file,id=ram,size=${size},mem-path=/proc/self/fd/${memoryFd},share=on`],
    ...['-m', size],
    // Translated code in 128 MiB: OP-TEE needs far less, and setting aside QEMU's gigabyte costs part of the start.
    ...['-accel', 'tcg,thread=multi,tb-size=128', '-cpu', 'cortex-a57', '-smp', String(cpus)],
    ...plugins.flatMap(({ plugin }, index) => ['-plugin', `${plugin},map=/proc/self/fd/${firstPluginFd + index}`]),
    ...(gdb === undefined ? [] : ['-gdb', `tcp:127.0.0.1:${gdb}`]),
    ...['-bios', firmware],
    ...['-display', 'none', '-monitor', 'none', '-nic', 'none'],
    ...['-chardev', `socket,id=monitor,fd=${monitorFd}`, '-mon', 'chardev=monitor,mode=control'],
    ...['-chardev', `socket,id=bell,fd=${bellFd}`, '-serial', 'chardev:bell'],
    ...['-chardev', `file,id=console,path=/proc/self/fd/${consoleFd}`, '-serial', 'chardev:console'],
  ];
}
