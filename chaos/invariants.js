import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Put all temporary files of this process and its children into one folder, so that remaining files are detected. */
export function privateTemporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-chaos-'));
  const { TMPDIR: before } = process.env;
  process.env.TMPDIR = folder;
  const remove = () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, remove };
}

/**
 * Open descriptors, child processes and temporary files of this process; they must be the same before and after a
 * round.
 */
export function snapshot(folder) {
  return {
    descriptors: descriptors(),
    children: children(),
    resources: process
      .getActiveResourcesInfo()
      .filter((name) => /TCP|UDP|Pipe|FSReq|Process|Worker/.test(name))
      .sort(),
    files: readdirSync(folder, { recursive: true }).sort(),
  };
}

/** The resources that were added, as text; empty if there are none. */
export function leftOver(before, after) {
  return ['descriptors', 'children', 'resources', 'files'].flatMap((what) => {
    const more = without(after[what], before[what]);
    return more.length === 0 ? [] : [`${what}: ${more.join(', ')}`];
  });
}

/** The same, after pending closes have completed. */
export async function settled(before, folder, ms = 3000) {
  const end = performance.now() + ms;
  for (;;) {
    const left = leftOver(before, snapshot(folder));
    if (left.length === 0 || performance.now() > end) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Files below a folder that this process has open. */
export function openBelow(folder) {
  return descriptors().filter((target) => target.startsWith(folder));
}

function descriptors() {
  return readdirSync('/proc/self/fd')
    .flatMap((number) => {
      try {
        // Numbers of sockets and pipes are not comparable.
        return [readlinkSync(`/proc/self/fd/${number}`).replace(/\[\d+\]/, '')];
      } catch {
        // The descriptor of this directory listing.
        return [];
      }
    })
    .sort();
}

/** Child processes that have not been waited for; helper processes of Node's tools do not count. */
function children() {
  return readdirSync('/proc/self/task').flatMap((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter((pid) => pid !== '');
    } catch {
      return [];
    }
  });
}

function without(list, others) {
  const rest = [...others];
  return list.filter((each) => {
    const at = rest.indexOf(each);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/** Memory in use after a garbage collection. */
export async function collected() {
  for (let pass = 0; pass < 2; pass++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return process.memoryUsage();
}

/**
 * The largest address space that this process ever had, in bytes. It also shows allocations that were freed at once.
 */
export function peakAddressSpace() {
  const [, kibibytes] = /^VmPeak:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/**
 * Checks that memory does not grow with the number of rounds: the minimum of memory in use after a collection in the
 * last quarter of the rounds is compared with that in the second quarter. The first quarter fills caches.
 */
export class MemoryWatch {
  samples = [];

  async sample() {
    const { heapUsed, external, rss } = await collected();
    this.samples.push({ heap: heapUsed, external, rss });
  }

  /**
   * @param kind `heap`, or `external`, which is mostly RAM of TEEs. @returns growth in bytes; 0 if there are too few
   * rounds.
   */
  growth(kind) {
    const quarter = Math.floor(this.samples.length / 4);
    if (quarter < 4) return 0;
    const least = (from) => Math.min(...this.samples.slice(from, from + quarter).map((sample) => sample[kind]));
    return least(this.samples.length - quarter) - least(quarter);
  }

  get peakResident() {
    return Math.max(0, ...this.samples.map(({ rss }) => rss));
  }
}
