import type { Clock } from '../../clock/clock.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { type ScenarioFaults, SERVICES } from '../scenario.js';
import type { Incidents } from './incidents.js';
import type { AnswerFault, RunFaults } from './run-faults.js';

/** Milliseconds between two attempts to lose a thread while all are in use. */
const retryMs = 0.1;

/** The faults that a scenario file specifies by time or by number. */
export class FixedFaults implements RunFaults {
  /** The number of requests received so far, by command. */
  private readonly taken = new Map<number, number>();
  private readonly numbers = new Map<SupplicantRequest, number>();

  constructor(private readonly faults: ScenarioFaults) {}

  /** The run begins: set timers for the faults with a time. */
  begin(clock: Clock, incidents: Incidents): void {
    const { supplicantLeaves, deaths, lostThreads } = this.faults;
    for (const { at, back } of supplicantLeaves) {
      clock.setTimer(at, () => incidents.endSupplicant());
      if (back !== undefined) clock.setTimer(back, () => incidents.startSupplicant());
    }
    for (const { client, at } of deaths) clock.setTimer(at, () => incidents.kill(client));
    for (const at of lostThreads) {
      const lose = () => {
        if (incidents.threads.free > 0) incidents.loseThread();
        else clock.setTimer(retryMs, lose);
      };
      clock.setTimer(at, lose);
    }
  }

  dies(request: SupplicantRequest): undefined {
    const nth = (this.taken.get(request.command) ?? 0) + 1;
    this.taken.set(request.command, nth);
    this.numbers.set(request, nth);
  }

  answer(request: SupplicantRequest): AnswerFault | undefined {
    const nth = this.numbers.get(request);
    this.numbers.delete(request);
    return this.faults.answers.find((answer) => answer.nth === nth && SERVICES[answer.rpc] === request.command)?.fault;
  }
}

/** Combine two sources of faults: the first that returns a fault decides. */
export function bothFaults(one: RunFaults, other: RunFaults): RunFaults {
  return {
    atPoint(actor, step, run) {
      one.atPoint?.(actor, step, run);
      other.atPoint?.(actor, step, run);
    },
    dies(request) {
      const first = one.dies?.(request);
      return other.dies?.(request) ?? first;
    },
    answer: (request) => one.answer?.(request) ?? other.answer?.(request),
  };
}
