import type { CallQueue, DisciplineName } from './call-queue.js';

/**
 * A queue of the discipline named.
 * @param threadCount what secure world announced (GET_THREAD_COUNT); 0 when it announced nothing: Linux then does not
 *   track threads, hand-off learns the capacity.
 */
export type CreateCallQueue = (discipline: DisciplineName, threadCount: number) => CallQueue;
