import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { keepsReserve } from '../optee/call-queue/disciplines.js';
import type { Scenario } from './scenario.js';
import type { Outcome, RunResult } from './scenario-result.js';

/** Repeats a run with another scenario. */
type Again = (scenario: Scenario) => Promise<Outcome>;

/** Whether a reserved thread might help: relief calls slept, and the discipline supports a reserve but has none. */
export function reserveMayHelp({ reserve }: Scenario, queue: DisciplineName, reliefSlept: boolean): boolean {
  return reliefSlept && !reserve && keepsReserve(queue);
}

/**
 * The outcome of a failed run if the clients in its cycle request system sessions, and if a thread is reserved for
 * relief calls: sentences. A reserve without effect gives no sentence.
 */
export async function triedCures(
  scenario: Scenario,
  { outcome, queue, withoutSession }: RunResult,
  reliefSlept: boolean,
  again: Again,
): Promise<string[]> {
  if (outcome === 'finished' || outcome === 'cut-off') return [];
  return [
    ...(withoutSession.length > 0 ? await withSessions(scenario, withoutSession, again) : []),
    ...(reserveMayHelp(scenario, queue, reliefSlept) ? await withReserve(scenario, again) : []),
  ];
}

async function withSessions(scenario: Scenario, without: readonly string[], again: Again): Promise<string[]> {
  const clients = new Map(
    Array.from(scenario.clients, ([name, client]) => [
      name,
      without.includes(name) ? { ...client, system: true } : client,
    ]),
  );
  const names = without.join(' and ');
  const outcome = await again({ ...scenario, clients });
  switch (outcome) {
    case 'finished':
      return [`Tried: with \`system: true\` for ${names} the same run finishes.`];
    case 'deadlock':
      return [`Tried: \`system: true\` for ${names} does not help: the run still deadlocks.`];
    case 'stuck':
    case 'starved':
    case 'cut-off':
      return [`Tried: with \`system: true\` for ${names} there is no deadlock, but the run ends ${outcome}.`];
    default:
      return outcome satisfies never;
  }
}

async function withReserve(scenario: Scenario, again: Again): Promise<string[]> {
  const outcome = await again({ ...scenario, reserve: true });
  return outcome === 'finished'
    ? ['Tried: with `reserve: true`, a thread kept for relief calls, the same run finishes.']
    : [];
}
