import type { Tee } from './client/tee.js';
import { machineClock } from './clock/clock.js';
import type { OptionNames } from './known-options.js';
import { type LinuxTeeOptions, linuxTee, openDeviceHere, usualCalls } from './linux/open-linux-tee.js';
import { openRemoteDevice } from './remote/open-remote-device.js';
import { isSshBoard } from './remote/ssh-board.js';
import { publishTrace } from './trace/node/publish-trace.js';
import { TraceFile } from './trace/node/trace-file.js';
import { Trace } from './trace/trace.js';

/** The options of `openTee` that apply to a TEE behind the kernel's driver. */
interface OpenLinuxOptions extends LinuxTeeOptions {
  readonly world?: unknown;
  readonly trace?: Trace | string;
  readonly callLimitMs?: number;
}

const names: OptionNames<OpenLinuxOptions> = {
  ...{ world: true, device: true, deviceCalls: true, sysfs: true, tracepoints: true, trace: true, callLimitMs: true },
};

/** @throws TypeError naming an option that has no effect there. */
export function refuseForLinux(options: object): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !Object.hasOwn(names, name))
      throw new TypeError(
        `openTee: ${name} is not for world "linux": there the driver is the kernel's, the supplicant is a separate program (normalworld supplicant), and the client is this process`,
      );
}

/**
 * Open the TEE behind the kernel's driver, of this machine or of a board.
 * @throws TeecError with advice if the device cannot be used; TracepointsError if the kernel's tracepoints are wanted
 * and cannot be used.
 */
export async function openLinux(options: OpenLinuxOptions): Promise<Tee> {
  const { device = '/dev/tee0', deviceCalls = usualCalls, callLimitMs = Number.POSITIVE_INFINITY } = options;
  const { sysfs, tracepoints = false } = options;
  if (tracepoints !== false && isSshBoard(device))
    throw new TypeError('openTee: tracepoints are those of this machine, and the device is that of a board');
  const trace = options.trace instanceof Trace ? options.trace : new Trace(machineClock);
  publishTrace(trace);
  const file = typeof options.trace === 'string' ? new TraceFile(options.trace) : undefined;
  if (file !== undefined) trace.attach(file);
  try {
    const opened = isSshBoard(device)
      ? await openRemoteDevice(device, deviceCalls, trace)
      : openDeviceHere({ device, deviceCalls, ...(sysfs === undefined ? {} : { sysfs }) });
    try {
      return linuxTee(opened, trace, callLimitMs, tracepoints, () => file?.close());
    } catch (error) {
      opened.door.end();
      await opened.close?.();
      throw error;
    }
  } catch (error) {
    file?.close();
    throw error;
  }
}
