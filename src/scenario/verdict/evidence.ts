import type { RunEnd } from '../../clock/virtual-clock.js';
import type { DisciplineName, QueueState } from '../../optee/call-queue/call-queue.js';
import type { ClientRecord } from '../journal/client-record.js';
import type { OpenCall, RunJournal, Task } from '../journal/run-journal.js';
import type { Scenario } from '../scenario.js';

/** All that the verdict on a run rests on. */
export interface Evidence {
  readonly scenario: Scenario;
  readonly queue: DisciplineName;
  /** All sessions could be opened. */
  readonly opened: boolean;
  readonly end: RunEnd;
  readonly duration: number;
  /** When the run began, by the clock of its trace, in milliseconds. */
  readonly from: number;
  readonly journal: RunJournal;
  readonly records: ReadonlyMap<string, ClientRecord>;
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  readonly queueState: QueueState | undefined;
  readonly freeThreads: readonly number[];
  /** Thread contexts that no call took in the whole run. */
  readonly idleThreads: readonly number[];
  readonly withheld: (system: boolean) => number;
  /** No supplicant is there, and none will come. */
  readonly supplicantAbsent: boolean;
  readonly supplicantFrozen: boolean;
  readonly supplicantBusyWith: readonly OpenCall[];
  /** Who waits for locks of the normal world. */
  readonly lockWaiters: readonly Task[];
  /** The faults that struck, in sentences. */
  readonly incidents: readonly string[];
}
