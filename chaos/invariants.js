import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Temporary files of everything that is started from here lie in one folder, so that what stays there is seen. */
export function privateTemporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-chaos-'));
  process.env.TMPDIR = folder;
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What this process has open, what it started, and what lies about: the same after a round as before. */
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

/** What there is more of than before, in words; empty when nothing. */
export function leftOver(before, after) {
  return ['descriptors', 'children', 'resources', 'files'].flatMap((what) => {
    const more = without(after[what], before[what]);
    return more.length === 0 ? [] : [`${what}: ${more.join(', ')}`];
  });
}

/** The same, once what is just being closed is closed. */
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
        // A socket's or pipe's own number says nothing.
        return [readlinkSync(`/proc/self/fd/${number}`).replace(/\[\d+\]/, '')];
      } catch {
        // The one that the list itself was read by.
        return [];
      }
    })
    .sort();
}

/** Programs that were started and have not been waited for; compilers and the like of Node's are none. */
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

/** Memory in use after a collection. */
export async function collected() {
  for (let pass = 0; pass < 2; pass++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return process.memoryUsage();
}

/** The most address space that this process ever had, in bytes: it tells of an allocation that was given back at once, too. */
export function peakAddressSpace() {
  const [, kibibytes] = /^VmPeak:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/**
 * Memory does not grow with the number of rounds: of what is in use after a collection, the least of the last quarter of the
 * rounds is held against the least of the second quarter, the first one being there to fill caches.
 */
export class MemoryWatch {
  samples = [];

  async sample() {
    const { heapUsed, external, rss } = await collected();
    this.samples.push({ heap: heapUsed, external, rss });
  }

  /** @param kind `heap`, or `external`: RAM of TEEs, for the most part. @returns bytes by which it grew; 0 when there is too little to say. */
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
