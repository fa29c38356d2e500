import type { FailedCall } from '../../../scenario/journal/client-record.js';
import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { Scenario } from '../../../scenario/scenario.js';

/**
 * Calls of clients that failed without a cause. The causes are: - a fault in the driver's call; - the death of the
 * client; - another thread of the client closed the session during the call; - a panic of secure world; - a failed call
 * that was made on its behalf; - the client cancelled the call because of its timeout; - the request was for a session
 * of an application that accepts one client at a time, or for the memory of such a session; - in a run without a
 * supplicant for some time, the client is in the kernel, so it does not wait for one.
 */
export function unexplainedFailures({ clients, incidents }: ScenarioRun, { faults }: Scenario): string[] {
  // A panicking application also fails other calls, and it is not known which.
  if (faults.panics.length > 0) return [];
  const dead = new Set(clients.deaths.map(({ label }) => label));
  const explained = ({ client, label, invocation, codeName, closed }: FailedCall) =>
    dead.has(label) ||
    closed ||
    (client.timeout !== undefined && codeName === 'TEEC_ERROR_CANCEL') ||
    incidents.panicked ||
    clients.failedFor.has(invocation) ||
    (invocation.call !== undefined && incidents.affectedCalls.has(invocation.call.id)) ||
    (invocation.command === 'open session' &&
      (codeName === 'TEEC_ERROR_BUSY' || incidents.reportedRefused.memory > 0)) ||
    (client.kernel && incidents.supplicantDeaths.length > 0 && codeName === 'TEEC_ERROR_COMMUNICATION');
  return clients.failed
    .filter((failed) => !explained(failed))
    .map(({ label, invocation, codeName }) => {
      const call = invocation.call === undefined ? '' : `call ${invocation.call.id} of `;
      return `${call}${label} (${invocation.command}) failed with ${codeName}, although no fault affected it`;
    });
}
