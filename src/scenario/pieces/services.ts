import { type Clock, sleep } from '../../clock/clock.js';
import type { I2cAdapter } from '../../optee/rpc/i2c-rpc.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { SupplicantService } from '../../supplicant/supplicant-service.js';
import { TeecError } from '../../tee/teec-error.js';
import { drawTime } from '../duration.js';
import type { Locks } from '../journal/locks.js';
import type { OpenCall, RunJournal, ServiceRequest } from '../journal/run-journal.js';
import { type Scenario, type ScenarioService, SERVICES, type ServiceStep } from '../scenario.js';
import { Turns } from './turns.js';

/** Makes a call of a passive client for a request. */
export type InvokeFor = (request: ServiceRequest, client: string, command: string) => Promise<void>;

/** The bus number of a scenario's I2C transfers. */
export const i2cBus = 0;

/** The normal world's handlers of a scenario's RPCs. */
export interface Services {
  /** Services of the supplicant, by RPC command. */
  readonly ofSupplicant: ReadonlyMap<number, SupplicantService>;
  /** I2C buses of the kernel, by number. */
  readonly i2c: ReadonlyMap<number, I2cAdapter>;
}

export function scenarioServices(
  { services, faults }: Scenario,
  journal: RunJournal,
  clock: Clock,
  locks: Locks<OpenCall>,
  invokeFor: InvokeFor,
  ended: Promise<void>,
): Services {
  const ofSupplicant = new Map<number, SupplicantService>();
  const i2c = new Map<number, I2cAdapter>();
  for (const [name, service] of services) {
    const unanswered = faults.unanswered.flatMap(({ rpc, nth }) => (rpc === name ? [nth] : []));
    const serve = requestServer(service, unanswered, { journal, clock, locks, invokeFor, ended });
    if (name === 'i2c') i2c.set(i2cBus, i2cAdapter(serve, journal));
    else ofSupplicant.set(SERVICES[name], supplicantService(serve, journal));
  }
  return { ofSupplicant, i2c };
}

/** Serves a request; resolves with the result of its RPC. */
type Serve = (request: ServiceRequest) => Promise<number>;

function supplicantService(serve: Serve, journal: RunJournal): SupplicantService {
  return async ([param]) => {
    const request = param?.type === 'value' ? journal.requests.get(param.b) : undefined;
    return request === undefined ? TeeResult.ERROR_BAD_PARAMETERS : serve(request);
  };
}

function i2cAdapter(serve: Serve, journal: RunJournal): I2cAdapter {
  const transfer = async (octets: Uint8Array) => {
    const request = journal.beginDeviceRequest([SERVICES.i2c], 'the I2C bus', true);
    if (request === undefined) throw new Error('nobody asked for a transfer');
    try {
      if ((await serve(request)) !== TeeResult.SUCCESS) throw new Error('the chip does not answer');
      return octets.length;
    } finally {
      journal.endRequest(request);
    }
  };
  return { send: (_, octets) => transfer(octets), receive: (_, octets) => transfer(octets) };
}

interface Surroundings {
  readonly journal: RunJournal;
  readonly clock: Clock;
  readonly locks: Locks<OpenCall>;
  readonly invokeFor: InvokeFor;
  /** Resolves at the end of the run; requests that are never answered end then. */
  readonly ended: Promise<void>;
}

/**
 * Executes the steps of a service for each request. @param unanswered numbers of requests, from 1, that are never
 * answered.
 */
function requestServer(
  service: ScenarioService,
  unanswered: readonly number[],
  { journal, clock, locks, invokeFor, ended }: Surroundings,
): Serve {
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

  return async (request) => {
    requests++;
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
      // The call of a device failed.
      if (error instanceof TeecError) return TeeResult.ERROR_COMMUNICATION;
      throw error;
    } finally {
      if (service.exclusive) turns.pass();
    }
  };
}
