import type { ClientResult } from '../scenario-result.js';
import type { ClientRecord } from './client-record.js';
import { latenciesOf } from './percentiles.js';
import type { Invocation, RunJournal } from './run-journal.js';

/**
 * The results of each kind of client. Devices of secure world make no calls and are left out.
 * @param now in milliseconds of the run's clock.
 * @param isLost whether an invocation can never be answered.
 */
export function clientResults(
  records: Iterable<ClientRecord>,
  journal: RunJournal,
  now: number,
  isLost: (invocation: Invocation) => boolean,
): ClientResult[] {
  return [...records]
    .filter(({ client }) => client.application !== undefined)
    .map(({ client, latencies, failures }) => {
      const open = [...journal.openInvocations].filter((invocation) => invocation.client === client.name);
      const { deadline = Number.POSITIVE_INFINITY } = client;
      const ages = open.map(({ begun }) => now - begun);
      return {
        name: client.name,
        system: client.system,
        calls: latencies.length,
        unanswered: open.length,
        inFlight: open.filter((invocation) => !isLost(invocation)).length,
        late: [...latencies, ...ages].filter((ms) => ms > deadline).length,
        failed: [...failures.values()].reduce((sum, count) => sum + count, 0),
        ...latenciesOf(latencies),
      };
    });
}
