import { readFile } from 'node:fs/promises';
import { startTimer } from '../../clock/timer.js';

/** A boot takes a quarter of a second on an idle host: who is still booting then is looked at. */
const patienceMs = 400;
const intervalMs = 50;
/** How long nothing may change in any register: of a CPU that ran for so long of it, and of one that may be halted. */
const stillRunningMs = 400;
const stillMs = 1200;

export interface Booting {
  /** QEMU's process. */
  readonly pid: number | undefined;
  /** The registers of the first CPU in words; undefined when they cannot be had. */
  registers(): Promise<string | undefined>;
  /** It stands still, at that address of S-EL1 if it is known. */
  standsStill(address: string | undefined): void;
}

/**
 * Look whether a boot stands still: with every register the same for a while, although the CPU ran, code waits for itself.
 * That is where OP-TEE ends up that does not find what it was built for: its first exception vectors loop.
 * @returns ends it.
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

/** USER_HZ: 100 on every architecture that Linux has user space for. */
const msPerTick = 10;

/** What the process ran, user and system time; 0 when that cannot be read. */
async function cpuTimeMs(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name, in brackets, may hold anything; proc(5): utime and stime are fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [utime, stime] = [Number(fields[11]), Number(fields[12])];
  return Number.isFinite(utime + stime) ? (utime + stime) * msPerTick : 0;
}
