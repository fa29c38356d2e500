import type { DisciplineName } from '../optee/call-queue/call-queue.js';

/** The call queue of each kernel, by the first mainline version that has it. */
export const KERNEL_QUEUES: readonly {
  readonly from: readonly [major: number, minor: number];
  readonly queue: DisciplineName;
  /** Long-term kernels that have it. */
  readonly longTerm: readonly string[];
}[] = [
  { from: [4, 12], queue: 'linux-6.7', longTerm: ['4.14', '4.19', '5.4', '5.10', '5.15', '6.1', '6.6'] },
  // "tee: optee: support tracking system threads", merged for 6.8; not backported to earlier stable kernels.
  { from: [6, 8], queue: 'linux-6.8', longTerm: ['6.12', '6.18'] },
];

/**
 * The call queue of a kernel.
 * @param version as `uname -r` prints it.
 * @throws RangeError if it is not a version, or the kernel has no driver for OP-TEE.
 */
export function queueOfKernel(version: string): DisciplineName {
  const [, major, minor] = /^v?(\d{1,3})\.(\d{1,4})(?:[.-].*)?$/.exec(version.trim()) ?? [];
  if (major === undefined || minor === undefined)
    throw new RangeError(`"${version}" is not a kernel version; examples: 6.1, 6.12.8-rt2`);
  const found = KERNEL_QUEUES.findLast(
    ({ from }) => Number(major) > from[0] || (Number(major) === from[0] && Number(minor) >= from[1]),
  );
  if (found === undefined)
    throw new RangeError(`Linux ${major}.${minor} has no driver for OP-TEE: 4.12 is the first with one`);
  return found.queue;
}
