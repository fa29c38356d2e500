import type { FailedCall } from '../../../scenario/journal/client-record.js';
import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { Scenario } from '../../../scenario/scenario.js';

/**
 * Calls of clients that failed although nothing had struck them.
 *
 * A failure is explained when the driver's call was struck; when its client died; when a thread of the client closed the
 * session meanwhile; when secure world panicked; when a call that was made on its behalf
 * failed; when its client lost patience and cancelled it; when it asked for a session of an application that takes one client at a time, or for the
 * memory that goes with it when that was refused; or when it is a kernel
 * client's, which does not wait for a supplicant, in a run whose supplicant was away.
 */
export function hurtWithoutCause({ clients, incidents }: ScenarioRun, { faults }: Scenario): string[] {
  // An application that panics takes others with it, and no list says whom.
  if (faults.panics.length > 0) return [];
  const dead = new Set(clients.deaths.map(({ label }) => label));
  const explained = ({ client, label, invocation, codeName, closed }: FailedCall) =>
    dead.has(label) ||
    closed ||
    (client.timeout !== undefined && codeName === 'TEEC_ERROR_CANCEL') ||
    incidents.panicked ||
    clients.failedFor.has(invocation) ||
    (invocation.call !== undefined && incidents.hurtCalls.has(invocation.call.id)) ||
    (invocation.command === 'open session' && (codeName === 'TEEC_ERROR_BUSY' || incidents.deniedTo.memory > 0)) ||
    (client.kernel && incidents.supplicantDeaths.length > 0 && codeName === 'TEEC_ERROR_COMMUNICATION');
  return clients.failed
    .filter((failed) => !explained(failed))
    .map(({ label, invocation, codeName }) => {
      const call = invocation.call === undefined ? '' : `call ${invocation.call.id} of `;
      return `${call}${label} (${invocation.command}) failed with ${codeName}, although no fault affected it`;
    });
}
