import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { keepsReserve } from '../optee/call-queue/disciplines.js';
import type { Scenario } from './scenario.js';
import type { Outcome, RunResult } from './scenario-result.js';

/** Makes the same run of another scenario. */
type Again = (scenario: Scenario) => Promise<Outcome>;

/** A thread kept for relief calls could help: some of them slept, and the discipline could keep one and does not. */
export function reserveMayHelp({ reserve }: Scenario, queue: DisciplineName, reliefSlept: boolean): boolean {
  return reliefSlept && !reserve && keepsReserve(queue);
}

/**
 * What becomes of a run that went wrong when the clients in its circle ask for system sessions, and when a thread is kept for relief
 * calls: in sentences. That a thread was kept in vain is not worth one.
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
