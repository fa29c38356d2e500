import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { startTimer } from '../../clock/timer.js';
import { startProcess } from '../../processes/start-process.js';
import { endWithParent } from './end-with-parent.js';
import type { MappedPlugin } from './qemu-options.js';

export interface QemuOptions {
  /** The program: a name that is looked up in PATH, or a path. */
  readonly program: string;
  /** Flash image. */
  readonly firmware: string;
  readonly cpus: number;
  /** File descriptor of the RAM's memory file, and its size in bytes. */
  readonly memoryFd: number;
  readonly memorySize: number;
  /** The TCP port on 127.0.0.1 for QEMU's gdb stub. */
  readonly gdb?: number | undefined;
  /** Each plugin gets its file as its map. */
  readonly plugins: readonly MappedPlugin[];
  /** File descriptor that UART1, OP-TEE's secure console, is written to. */
  readonly consoleFd: number;
}

/** File descriptors of the child process after the standard three. */
const bellFd = 3;
const consoleFd = 4;
const memoryFd = 5;
const monitorFd = 6;
const firstPluginFd = 7;

const maxErrorOutput = 4096;
/** Milliseconds for which the streams of an ended process stay open if its child processes still hold them. */
const lingerMs = 500;

/** A QEMU that cannot outlive this process. */
export class QemuProcess {
  /** UART0, the bell in both directions. */
  readonly bell: Duplex;
  /** QEMU's machine protocol. */
  readonly monitor: Duplex;
  /** Resolves with a text when the process has ended: the exit code, the signal, or why it did not start. */
  readonly ended: Promise<string>;
  private errorOutput = '';

  private constructor(private readonly child: ChildProcess) {
    const stdio: readonly unknown[] = child.stdio;
    this.bell = stdio[bellFd] as Duplex;
    this.monitor = stdio[monitorFd] as Duplex;
    // Errors of a broken pipe are ignored here; `ended` reports the end of the process.
    this.bell.on('error', () => undefined);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errorOutput = (this.errorOutput + text).slice(-maxErrorOutput);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('exit', () => {
        // Child processes of a script in QEMU's place may hold the other ends of the pipes.
        startTimer(lingerMs, () => this.closeStreams(), { background: true });
      });
      child.once('close', (code, signal) => {
        const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
        resolve(this.errorOutput === '' ? how : `${how}: ${this.errorOutput.trim()}`);
      });
    });
  }

  static start(options: QemuOptions): QemuProcess {
    const child = startProcess(
      ...endWithParent(options.program, commandLine(options)),
      // In its own session, so that Ctrl-C in a terminal does not end QEMU before this process closes it. The parent's
      // death signal does not depend on the session.
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

  /** Kill QEMU and its child processes, except those with a session of their own. */
  kill(): void {
    const { pid } = this.child;
    if (pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It is not the leader of a process group.
      this.child.kill('SIGKILL');
    }
  }

  private closeStreams(): void {
    for (const stream of this.child.stdio) stream?.destroy();
  }
}

function commandLine({ firmware, cpus, memorySize, gdb, plugins }: QemuOptions): string[] {
  const size = `${memorySize}B`;
  return [
    // Without default devices and configuration, so that no device needs an option ROM.
    ...['-nodefaults', '-no-user-config'],
    // EL3 and secure memory (`secure=on`); unused parts of the board are off, because they slow the start.
    ...['-M', 'virt,secure=on,gic-version=3,its=off,acpi=off,memory-backend=ram'],
    ...['-object', `memory-backend-file,id=ram,size=${size},mem-path=/proc/self/fd/${memoryFd},share=on`],
    ...['-m', size],
    // A translation cache of 128 MiB is enough for OP-TEE. Reserving QEMU's default of one GiB slows the start.
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
