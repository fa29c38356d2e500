import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { Scenario } from '../../../scenario/scenario.js';

/**
 * Answers that had to be refused and were taken for good ones: of calls that must fail for what struck them, those whose
 * client saw no failure. Real applications may get over a request that failed; those of the file do not. A refused registration is seen by whoever needed the memory.
 */
export function takenForGood({ clients, incidents, journal }: ScenarioRun, { applications }: Scenario): string[] {
  if (incidents.panicked) return [];
  const dead = new Set(clients.deaths.map(({ label }) => label));
  const real = [...applications.values()].some(({ kind }) => kind === 'shipped');
  const failed = new Set(clients.failed.map(({ invocation }) => invocation.call?.id));
  return [...incidents.mustFail]
    .filter(([call, { label, purpose, by }]) => {
      if ((real && by === 'request') || dead.has(label) || journal.calls.has(call)) return false;
      return purpose === 'register-shm' ? clients.failed.length + dead.size === 0 : !failed.has(call);
    })
    .map(([call, { label, why }]) => `call ${call} of ${label} succeeded, although ${why}`);
}
