import type { Scenario } from '../../../scenario/scenario.js';

/**
 * What the state of a run may leave out of its history. - `steps`: the order of steps that concern only the callers,
 * the queue and the table of thread contexts. - `parts`: also the order of independent steps, which access different
 * clients or different parts of the driver, or do not change what the other step reads. For sessions, memory and
 * interrupts that come and go. - `queue`: only the order of sections under the queue's lock. For runs with state that
 * the explorer does not know: shipped applications and devices, faults. - `nothing`: all runs are different. For times
 * that are drawn from one generator in the order of the actors.
 */
export type Reduction = 'steps' | 'parts' | 'queue' | 'nothing';

/** The reduction that a scenario allows. */
export function reductionFor(scenario: Scenario): Reduction {
  if (scenario.preemption.max > 0 || hasHiddenOrder(scenario)) return 'nothing';
  if (!isDescribed(scenario) || !hasUsualFaults(scenario)) return 'queue';
  return isStateless(scenario) ? 'steps' : 'parts';
}

/** Locks, processors and a supplicant's threads keep an order of arrival that no event shows. */
function hasHiddenOrder({ cpus, locks, supplicant, applications, clients, faults }: Scenario): boolean {
  return (
    cpus !== undefined ||
    locks.size > 0 ||
    supplicant.threads !== Number.POSITIVE_INFINITY ||
    supplicant.loadTa.max > 0 ||
    supplicant.allocate.max > 0 ||
    supplicant.loadTa.rare !== undefined ||
    supplicant.allocate.rare !== undefined ||
    faults.suspends.length > 0 ||
    [...clients.values()].some(({ timeout, applications: its }) => timeout !== undefined || its.length > 1) ||
    [...applications.values()].some(
      (application) =>
        application.kind !== 'shipped' &&
        [...application.commands.values()].flat().some(({ step }) => step === 'hold' || step === 'invoke'),
    )
  );
}

/** Whether the file describes everything that calls do. */
function isDescribed({ applications, emmc }: Scenario): boolean {
  return emmc === undefined && [...applications.values()].every(({ kind }) => kind !== 'shipped');
}

/** Whether calls leave no state behind: they only compute, wait, and use services that the file describes. */
function isStateless({ applications, secureWorld, clients }: Scenario): boolean {
  return (
    secureWorld.bottomHalf.length === 0 &&
    secureWorld.reservedShm &&
    [...applications.values()].every(
      (application) =>
        application.kind !== 'shipped' &&
        [...application.commands.values()].flat().every(({ step }) => step !== 'await' && step !== 'notify'),
    ) &&
    [...clients.values()].every(
      ({ sessionEachRound, sharedMemory, steps }) =>
        !sessionEachRound &&
        sharedMemory === 0 &&
        steps.every(({ step }) => step === 'invoke' || step === 'wait' || step === 'until'),
    )
  );
}

/** Faults that affect a request by its position in the order of requests, or that affect all clients. */
const USUAL_FAULTS: ReadonlySet<string> = new Set(['supplicantAbsent', 'unanswered', 'interruptPeriod']);

function hasUsualFaults({ faults }: Scenario): boolean {
  return Object.entries(faults).every(
    ([name, fault]) => USUAL_FAULTS.has(name) || fault === undefined || (Array.isArray(fault) && fault.length === 0),
  );
}
