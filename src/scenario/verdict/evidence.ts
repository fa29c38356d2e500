import type { RunEnd } from '../../clock/virtual-clock.js';
import type { DisciplineName, QueueState } from '../../optee/call-queue/call-queue.js';
import type { ClientRecord } from '../journal/client-record.js';
import type { OpenCall, RunJournal, Task } from '../journal/run-journal.js';
import type { Scenario } from '../scenario.js';

/** The input of the verdict on a run. */
export interface Evidence {
  readonly scenario: Scenario;
  readonly queue: DisciplineName;
  /** Whether all sessions could be opened. */
  readonly opened: boolean;
  readonly end: RunEnd;
  readonly duration: number;
  /** The start of the run, in milliseconds of its trace's clock. */
  readonly from: number;
  readonly journal: RunJournal;
  readonly records: ReadonlyMap<string, ClientRecord>;
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  readonly queueState: QueueState | undefined;
  readonly freeThreads: readonly number[];
  /** Thread contexts that no call took during the run. */
  readonly idleThreads: readonly number[];
  readonly withheld: (system: boolean) => number;
  /** There is no supplicant, and none will start. */
  readonly supplicantAbsent: boolean;
  readonly supplicantFrozen: boolean;
  readonly supplicantBusyWith: readonly OpenCall[];
  /** Tasks that wait for locks of the normal world. */
  readonly lockWaiters: readonly Task[];
  /** The faults that occurred, as sentences. */
  readonly incidents: readonly string[];
}
