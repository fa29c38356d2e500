import { TeeResult } from '../protocol/tee-result.js';
import {
  type Faults,
  rpcValue,
  type TaCall,
  TeeError,
  type TrustedApplication,
  trustedApplication,
} from '../worlds/simulated/index.js';
import { drawTime } from './duration.js';
import type { Invocation, RunJournal } from './run-journal.js';
import { type Scenario, type ScenarioApplication, SERVICES, type ServiceName } from './scenario.js';

/** A scenario's application in the simulated world, and what its commands are numbered. */
export interface RunningApplication {
  readonly uuid: string;
  readonly code: TrustedApplication;
  commandNumber(command: string): number;
}

/** The applications of a scenario, by name. Clients pass the number of their invocation as the first value. */
export function scenarioApplications(scenario: Scenario, journal: RunJournal): ReadonlyMap<string, RunningApplication> {
  return new Map(
    Array.from(scenario.applications.values(), (application, index) => [
      application.name,
      runningApplication(application, index, journal),
    ]),
  );
}

function runningApplication(application: ScenarioApplication, index: number, journal: RunJournal): RunningApplication {
  const uuid = `00000000-0000-4000-8000-${(index + 1).toString(16).padStart(12, '0')}`;
  const commands = [...application.commands.keys()];
  const { name, concurrent, singleInstance, multiSession } = application;
  const definition = {
    uuid,
    name,
    create: () => ({
      async invokeCommand(call: TaCall): Promise<void> {
        const invocation = journal.findInvocation(call.value(0).a);
        const steps = application.commands.get(commands[call.command] ?? '');
        if (invocation === undefined || steps === undefined) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
        invocation.executing = true;
        for (const step of steps) {
          switch (step.step) {
            case 'compute':
              await call.compute(drawTime(step.time, invocation.random));
              break;
            case 'wait':
              await call.wait(drawTime(step.time, invocation.random));
              break;
            case 'rpc':
              await askService(call, journal, step.service, invocation);
              break;
            default:
              step satisfies never;
          }
        }
        invocation.executing = false;
      },
    }),
  };
  const code =
    application.kind === 'pseudo'
      ? trustedApplication({ ...definition, kind: 'pseudo', concurrent })
      : trustedApplication({ ...definition, kind: 'user', singleInstance, multiSession });
  return { uuid, code, commandNumber: (command) => commands.indexOf(command) };
}

async function askService(
  call: TaCall,
  journal: RunJournal,
  service: ServiceName,
  invocation: Invocation,
): Promise<void> {
  const request = journal.beginRequest(service, invocation);
  const result = await call.rpc(SERVICES[service], [rpcValue('input', 0, request.number)]);
  journal.endRequest(request);
  if (result !== TeeResult.SUCCESS) throw new TeeError(result);
}

/** The faults of a scenario that happen in secure world. */
export function scenarioFaults({ faults }: Scenario, applications: ReadonlyMap<string, RunningApplication>): Faults {
  const entered = new Map<string, number>();
  return {
    ...(faults.interruptPeriod === undefined ? {} : { foreignInterruptPeriodMs: faults.interruptPeriod }),
    trustedApplication({ uuid, entry, command }) {
      if (entry !== 'invoke') return undefined;
      const key = `${uuid} ${command}`;
      const nth = (entered.get(key) ?? 0) + 1;
      entered.set(key, nth);
      const panics = faults.panics.some((panic) => {
        const application = applications.get(panic.application);
        return panic.nth === nth && application?.uuid === uuid && application.commandNumber(panic.command) === command;
      });
      return panics ? { panic: TeeResult.ERROR_GENERIC } : undefined;
    },
  };
}
