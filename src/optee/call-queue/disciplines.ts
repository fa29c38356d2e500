import { show } from '../../show.js';
import type { DisciplineName } from './call-queue.js';
import { HandOffCallQueue } from './hand-off.js';
import { Linux67CallQueue } from './linux-6.7.js';
import { Linux68CallQueue } from './linux-6.8.js';
import { PatchV6CallQueue } from './patch-v6.js';
import type { StorableCallQueue } from './storable.js';

/** All disciplines, oldest first, with descriptions. */
export const DISCIPLINES: Readonly<Record<DisciplineName, string>> = {
  'linux-6.7': 'Linux up to 6.7: no counting of threads, ETHREAD_LIMIT when secure world is full, no system sessions',
  'patch-v6': 'the patch series of May 2023 (v6): normal calls claim a thread, each system session reserves one',
  'linux-6.8': 'Linux since 6.8: every call claims a thread, system sessions share one that is kept free',
  'hand-off': 'a freed thread is handed to the next sleeper; a running system call uses the reserved thread',
  'hand-off-a': 'hand-off, with one thread kept free for system calls even while one runs',
  'hand-off-c': 'hand-off, with one thread reserved for each system session, so system calls may wait for each other',
};

/**
 * Whether the discipline can keep a thread for relief calls: cancellations, bottom halves, ends of sessions and
 * registrations.
 */
export function keepsReserve(discipline: DisciplineName): boolean {
  return discipline.startsWith('hand-off');
}

/** The reason why a discipline cannot. */
export function noReserve(discipline: DisciplineName): string {
  return `${discipline} cannot keep a thread for relief calls; only hand-off, hand-off-a and hand-off-c can`;
}

/**
 * Create the queue of a discipline.
 * @param threadCount number of threads announced by secure world (GET_THREAD_COUNT); 0 if it announced none: Linux then
 * does not track threads, and hand-off learns the capacity.
 * @param reserve keep one thread for relief calls. Only hand-off can; Linux's disciplines ignore it.
 * @throws RangeError if the count is not a non-negative integer, or the discipline does not exist.
 */
export type CreateCallQueue = (discipline: DisciplineName, threadCount: number, reserve?: boolean) => StorableCallQueue;

export const createCallQueue: CreateCallQueue = (discipline, threadCount, reserve = false) => {
  if (!Number.isInteger(threadCount) || threadCount < 0 || threadCount > 0xffff) {
    throw new RangeError(`thread count ${threadCount} is not a whole number from 0 to 65535`);
  }
  switch (discipline) {
    case 'linux-6.7':
      return new Linux67CallQueue(threadCount);
    case 'patch-v6':
      return new PatchV6CallQueue(threadCount);
    case 'linux-6.8':
      return new Linux68CallQueue(threadCount);
    case 'hand-off':
      return new HandOffCallQueue(threadCount, 'one-in-all', reserve);
    case 'hand-off-a':
      return new HandOffCallQueue(threadCount, 'always-free', reserve);
    case 'hand-off-c':
      return new HandOffCallQueue(threadCount, 'one-a-session', reserve);
    default:
      throw new RangeError(
        `there is no call queue ${show(discipline satisfies never)}; allowed: ${Object.keys(DISCIPLINES).join(', ')}`,
      );
  }
};
