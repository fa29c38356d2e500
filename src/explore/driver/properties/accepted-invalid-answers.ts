import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { Scenario } from '../../../scenario/scenario.js';

/**
 * Invalid answers that the driver accepted: calls that must fail because of a fault, although their client saw no
 * failure. Shipped applications may recover from a failed request; modelled ones do not. A refused registration fails
 * the call that needed the memory.
 */
export function acceptedInvalidAnswers(
  { clients, incidents, journal }: ScenarioRun,
  { applications }: Scenario,
): string[] {
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
