import type { OpenCall } from '../journal/run-journal.js';
import type { Evidence } from './evidence.js';
import { listed } from './wait-description.js';

/**
 * Possible cures of a deadlock, by the calls of its cycle that sleep in the queue. A system session helps a client that
 * has none; only a run shows whether that is sufficient: see `clientsWithoutSession`.
 */
export function cureSentences(evidence: Evidence, sleepers: readonly OpenCall[]): string[] {
  if (sleepers.length === 0)
    return ['Every call of the cycle has its thread: neither another queue nor a system session helps.'];
  const { queue, scenario } = evidence;
  const sentences: string[] = [];
  const ofDriver = sleepers.some(({ invocation }) => invocation === undefined);
  if (ofDriver) sentences.push('The driver makes that call outside of any session: no system session covers it.');
  const clients = clientsOf(evidence, sleepers);
  const outside = clients.filter(({ kernel }) => !kernel).map(({ name }) => name);
  if (outside.length > 0)
    sentences.push(
      `${listed(outside)} ${outside.length === 1 ? 'is' : 'are'} in user space, where there are no system sessions.`,
    );
  const inKernel = clients.filter(({ kernel }) => kernel).map(({ name }) => name);
  if (inKernel.length > 0 && queue === 'linux-6.7')
    sentences.push(`Linux up to 6.7 has no system sessions: no thread is kept for ${listed(inKernel)}.`);
  else {
    const without = clientsWithoutSession(evidence, sleepers);
    if (without.length > 0)
      sentences.push(
        `${listed(without)} did not request a system session: no thread is kept for ${without.length === 1 ? 'its' : 'their'} calls.`,
      );
    if (sleepers.some(({ system }) => system))
      sentences.push('It has a system session, but the reserved thread is taken as well.');
  }
  const { asked, granted } = evidence.systemSessions;
  if (queue !== 'linux-6.7' && [...scenario.clients.values()].some(({ system }) => system) && granted < asked)
    sentences.push(refusedWords(asked, granted));
  return sentences;
}

export function refusedWords(asked: number, granted: number): string {
  return `${asked - granted} of ${asked} system sessions refused: too few threads, or secure world does not announce the number.`;
}

/** Kernel clients of sleeping calls that could have requested a system session but did not. */
export function clientsWithoutSession(evidence: Evidence, sleepers: readonly OpenCall[]): readonly string[] {
  if (evidence.queue === 'linux-6.7') return [];
  return clientsOf(evidence, sleepers)
    .filter(({ kernel, system }) => kernel && !system)
    .map(({ name }) => name);
}

function clientsOf({ scenario }: Evidence, sleepers: readonly OpenCall[]) {
  const names = new Set(sleepers.flatMap(({ invocation }) => invocation?.client ?? []));
  return [...names].flatMap((name) => scenario.clients.get(name) ?? []);
}
