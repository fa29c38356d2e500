import type { RunJournal } from '../journal/run-journal.js';
import type { RunningApplication } from '../pieces/running-application.js';
import type { Scenario } from '../scenario.js';
import type { Incidents } from './incidents.js';
import type { SecureFaultEffects } from './run-faults.js';

/** The parts of a run that faults of secure world use. */
export interface FaultyRun {
  readonly journal: RunJournal;
  readonly incidents: Incidents;
  readonly applications: ReadonlyMap<string, RunningApplication>;
  readonly callIn: (thread: number) => number;
}

/** The effects of secure world's faults on a run. */
export function secureFaultEffects(
  { applications, clients, locks }: Scenario,
  run: () => FaultyRun,
): SecureFaultEffects {
  /** Whether the application serves several calls at once, so that a hanging call does not block others. */
  const servesOthers = (uuid: string) => {
    for (const [name, running] of run().applications) {
      if (running.uuid !== uuid) continue;
      const application = applications.get(name);
      return (
        application !== undefined &&
        application.kind !== 'shipped' &&
        (application.kind === 'pseudo' ? application.concurrent : !application.singleInstance)
      );
    }
    return false;
  };
  return {
    callIn: (thread) => run().callIn(thread),
    mayFail: (call) => run().incidents.affectedCalls.add(call),
    mustFail: (call, why) => run().incidents.recordMustFail(run().journal.calls.get(call), why, 'answer'),
    denied: (what) => run().incidents.denied(what),
    panicked: () => run().incidents.panics(),
    mayHang: (id, uuid) => {
      const { journal, incidents } = run();
      const client = journal.calls.get(id)?.invocation?.client;
      // A task that waits for a passive client's call, or for a lock, would hang as well.
      const alone = client !== undefined && clients.get(client)?.passive === false;
      return alone && locks.size === 0 && servesOthers(uuid) && incidents.threads.all > 1;
    },
    hangs: (id) => {
      const { journal, incidents } = run();
      const call = journal.calls.get(id);
      if (call !== undefined) incidents.hangs(call);
    },
  };
}
