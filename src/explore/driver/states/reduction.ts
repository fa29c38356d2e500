import type { Scenario } from '../../../scenario/scenario.js';

/**
 * How much of a run's history its state may leave out.
 * - `steps`: the order of steps that are between the callers, the queue and the table of thread contexts alone.
 * - `parts`: besides, the order of steps that touch different clients, or different parts of the driver, or of which neither
 *   changes what the other looks at. For sessions, memory and interrupts that come and go.
 * - `queue`: only that of sections under the queue's lock. For runs in which more has a memory than the explorer knows:
 *   real applications and devices, faults.
 * - `nothing`: every run is one of its own. For times that are drawn from one generator by whoever comes next.
 */
export type Reduction = 'steps' | 'parts' | 'queue' | 'nothing';

/** What a scenario allows. */
export function reductionFor(scenario: Scenario): Reduction {
  if (scenario.preemption.max > 0 || hasMemoryOfItsOwn(scenario)) return 'nothing';
  if (!isDescribed(scenario) || !hasUsualFaults(scenario)) return 'queue';
  return leavesNothingBehind(scenario) ? 'steps' : 'parts';
}

/** Locks, processors and a supplicant's threads remember who came first, which no event tells. */
function hasMemoryOfItsOwn({ cpus, locks, supplicant, applications, clients, faults }: Scenario): boolean {
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

/** All that calls do is in the file. */
function isDescribed({ applications, emmc }: Scenario): boolean {
  return emmc === undefined && [...applications.values()].every(({ kind }) => kind !== 'shipped');
}

/** Calls do nothing but what is known to leave nothing behind: compute, wait, and ask services that the file describes. */
function leavesNothingBehind({ applications, secureWorld, clients }: Scenario): boolean {
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

/** Faults that happen to a request by its place in the order of requests, or to everybody. */
const USUAL_FAULTS: ReadonlySet<string> = new Set(['supplicantAbsent', 'unanswered', 'interruptPeriod']);

function hasUsualFaults({ faults }: Scenario): boolean {
  return Object.entries(faults).every(
    ([name, fault]) => USUAL_FAULTS.has(name) || fault === undefined || (Array.isArray(fault) && fault.length === 0),
  );
}
