import { startTimer } from '../../clock/timer.js';
import { readRegularText } from '../../files/read-regular-file.js';

/** Milliseconds after which a boot is examined. On an idle host it takes a quarter of a second. */
const patienceMs = 400;
const intervalMs = 50;
/**
 * Milliseconds without a change in any register after which the CPU counts as stuck: the first if it ran for that long,
 * the second if it may be halted.
 */
const stillRunningMs = 400;
const stillMs = 1200;

export interface Booting {
  /** QEMU's process. */
  readonly pid: number | undefined;
  /** The registers of the first CPU as text; undefined if QEMU does not return them. */
  registers(): Promise<string | undefined>;
  /** Called when the boot is stuck; `address` is in S-EL1, if it is known. */
  standsStill(address: string | undefined): void;
}

/**
 * Detect a boot that is stuck. If no register changes for a while although the CPU runs, the code is an endless loop.
 * OP-TEE ends in one, its first exception vectors, if the machine differs from the one it was built for.
 * @returns ends the watch.
 */
export function watchBoot(booting: Booting): () => void {
  let over = false;
  let cancel: () => void = () => undefined;
  let last: string | undefined;
  let since = { time: 0, cpu: 0 };
  const look = async () => {
    const registers = await booting.registers();
    const now = { time: performance.now(), cpu: await cpuTimeMs(booting.pid) };
    if (over) return;
    if (registers === undefined || registers !== last) {
      last = registers;
      since = now;
    } else if (now.cpu - since.cpu >= stillRunningMs || now.time - since.time >= stillMs) {
      booting.standsStill(/\bPC=([0-9a-f]+)/i.exec(registers)?.[1]?.replace(/^0+(?=.)/, ''));
      return;
    }
    again(intervalMs);
  };
  const again = (ms: number) => {
    cancel = startTimer(ms, () => void look(), { background: true });
  };
  again(patienceMs);
  return () => {
    over = true;
    cancel();
  };
}

/** Milliseconds per clock tick: USER_HZ is 100 on every architecture of Linux. */
const msPerTick = 10;

/** CPU time of the process in milliseconds, user and system; 0 if it cannot be read. */
async function cpuTimeMs(pid: number | undefined): Promise<number> {
  const text = await readRegularText(`/proc/${pid}/stat`).catch(() => '');
  // The name, in parentheses, may contain any character. proc(5): utime and stime are fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [utime, stime] = [Number(fields[11]), Number(fields[12])];
  return Number.isFinite(utime + stime) ? (utime + stime) * msPerTick : 0;
}
