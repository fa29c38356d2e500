import { type Clock, sleep } from '../../clock/clock.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { SupplicantService } from '../../supplicant/supplicant-service.js';
import { TeecError } from '../../tee/teec-error.js';
import { drawTime } from '../duration.js';
import type { Locks } from '../journal/locks.js';
import type { OpenCall, RunJournal, ServiceRequest } from '../journal/run-journal.js';
import { type Scenario, type ScenarioService, SERVICES, type ServiceName, type ServiceStep } from '../scenario.js';
import { Turns } from './turns.js';

/** How a passive client makes a call for a request. */
export type InvokeFor = (request: ServiceRequest, client: string, command: string) => Promise<void>;

/** The normal world's side of the RPCs of a scenario, by RPC command. */
export function scenarioServices(
  { services, faults }: Scenario,
  journal: RunJournal,
  clock: Clock,
  locks: Locks<OpenCall>,
  invokeFor: InvokeFor,
  ended: Promise<void>,
): ReadonlyMap<number, SupplicantService> {
  return new Map(
    Array.from(services, ([name, service]) => [
      SERVICES[name],
      supplicantService(
        service,
        faults.unanswered.flatMap(({ rpc, nth }) => (rpc === name ? [nth] : [])),
        { name, journal, clock, locks, invokeFor, ended },
      ),
    ]),
  );
}

interface Surroundings {
  readonly name: ServiceName;
  readonly journal: RunJournal;
  readonly clock: Clock;
  readonly locks: Locks<OpenCall>;
  readonly invokeFor: InvokeFor;
  /** The end of the run, which ends what would go on for ever. */
  readonly ended: Promise<void>;
}

function supplicantService(
  service: ScenarioService,
  unanswered: readonly number[],
  { journal, clock, locks, invokeFor, ended }: Surroundings,
): SupplicantService {
  const turns = new Turns<ServiceRequest>();
  let requests = 0;

  const serve = async (request: ServiceRequest, steps: readonly ServiceStep[]): Promise<void> => {
    for (const step of steps) {
      switch (step.step) {
        case 'wait':
          journal.waitFor(request, { for: 'time' });
          await sleep(clock, drawTime(step.time, request.invocation.random));
          break;
        case 'invoke':
          await invokeFor(request, step.client, step.command);
          break;
        case 'never':
          await never(request);
          break;
        case 'hold': {
          const lock = locks.get(step.lock);
          journal.waitFor(request, { for: 'lock', lock });
          await lock.held(request.task, () => {
            journal.waitFor(request, { for: 'time' });
            return serve(request, step.steps);
          });
          break;
        }
        default:
          step satisfies never;
      }
    }
  };

  const never = (request: ServiceRequest): Promise<void> => {
    journal.waitFor(request, { for: 'never' });
    return ended;
  };

  return async (params) => {
    requests++;
    const param = params[0];
    const request = param?.type === 'value' ? journal.requests.get(param.b) : undefined;
    if (request === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
    if (unanswered.includes(requests)) {
      await never(request);
      return TeeResult.ERROR_COMMUNICATION;
    }
    if (service.exclusive) {
      journal.waitFor(request, { for: 'turn', holder: () => turns.holder });
      await turns.take(request);
    }
    try {
      await serve(request, service.steps);
      return TeeResult.SUCCESS;
    } catch (error) {
      // The device did not get what it needed.
      if (error instanceof TeecError) return TeeResult.ERROR_COMMUNICATION;
      throw error;
    } finally {
      if (service.exclusive) turns.pass();
    }
  };
}
