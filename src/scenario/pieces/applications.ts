import type { Context, KernelContext } from '../../client/context.js';
import { memref, value } from '../../client/parameters.js';
import { KernelSession, type Session } from '../../client/session.js';
import type { SharedMemory } from '../../client/shared-memory.js';
import type { Random } from '../../clock/random.js';
import { TeeResult } from '../../protocol/tee-result.js';
import {
  type Faults,
  type NotificationDriver,
  rpcValue,
  type TaCall,
  TeeError,
  trustedApplication,
} from '../../worlds/simulated/index.js';
import { drawTime } from '../duration.js';
import { type Invocation, leastNumbered, numberBytes, numberOffset, type RunJournal } from '../journal/run-journal.js';
import { type ModelledApplication, type Scenario, SERVICES, type ServiceName } from '../scenario.js';
import { openSession } from './port.js';
import type { RunningApplication } from './running-application.js';
import { scmiService } from './scmi-service.js';
import { runningShipped } from './shipped-applications.js';

/** The applications of a scenario, by name. */
export function scenarioApplications(scenario: Scenario, journal: RunJournal): ReadonlyMap<string, RunningApplication> {
  return new Map(
    Array.from(scenario.applications.values(), (application, index) => [
      application.name,
      application.kind !== 'shipped'
        ? modelledApplication(application, index, journal)
        : application.use === 'scmi'
          ? scmiService(application)
          : runningShipped(application.use, application.compute),
    ]),
  );
}

/** What the scenario itself describes. Clients pass the number of their invocation as the first value. */
function modelledApplication(application: ModelledApplication, index: number, journal: RunJournal): RunningApplication {
  const uuid = `00000000-0000-4000-8000-${(index + 1).toString(16).padStart(12, '0')}`;
  const commands = [...application.commands.keys()];
  const { name, concurrent, singleInstance, multiSession, device } = application;
  const definition = {
    uuid,
    name,
    ...(device === undefined ? {} : { device }),
    create: () => ({
      async invokeCommand(call: TaCall): Promise<void> {
        const invocation = journal.findInvocation(call.value(0).a);
        const steps = application.commands.get(commands[call.command] ?? '');
        if (invocation === undefined || steps === undefined) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
        invocation.executing = true;
        const place = lentPlace(call, invocation);
        journal.checkLent(invocation);
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
            case 'await':
              invocation.awaits = step;
              // The RPC counts whole milliseconds.
              await call.waitForNotification(step.notification, Math.ceil(step.timeout));
              invocation.awaits = undefined;
              break;
            case 'notify':
              await call.notify(step.notification);
              break;
            default:
              step satisfies never;
          }
        }
        journal.checkLent(invocation);
        place?.();
        invocation.executing = false;
      },
    }),
  };
  const code =
    application.kind === 'pseudo'
      ? trustedApplication({ ...definition, kind: 'pseudo', concurrent })
      : trustedApplication({ ...definition, kind: 'user', singleInstance, multiSession });
  const commandNumber = (command: string) => commands.indexOf(command);
  return {
    uuid,
    code,
    commandNumber,
    async open(context, client) {
      const { session, systemSessions } = await openSession(context, uuid, client, [value.inout(0, 0)]);
      let memory = client.sharedMemory > 0 ? await memoryFor(context, session, client.sharedMemory) : undefined;
      const free = async () => {
        const freed = memory;
        memory = undefined;
        await freed?.[Symbol.asyncDispose]();
      };
      return {
        systemSessions,
        async invoke(command, invocation) {
          const number = value.input(invocation);
          const lent = memory;
          if (lent === undefined) return session.invoke(commandNumber(command), [number]);
          journal.lend(invocation, lent.shm);
          const outputs = await session.invoke(commandNumber(command), [number, memref.inout(lent)]);
          if (memory === lent) journal.checkArrived(invocation, lent.bytes);
          return outputs;
        },
        closeSession: () => session.close(),
        free,
        systemSession: () => session instanceof KernelSession && session.systemSession(),
        async close() {
          await session.close();
          await free();
        },
      };
    },
  };
}

/** Without the memory the client has no use for the session. */
async function memoryFor(context: Context | KernelContext, session: Session, size: number): Promise<SharedMemory> {
  try {
    return await context.allocateSharedMemory(size);
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Where the application writes the number of its invocation in the memory that it was lent, when it is through. */
function lentPlace(call: TaCall, invocation: Invocation): (() => void) | undefined {
  if (invocation.lent === undefined || invocation.lent.size < leastNumbered) return undefined;
  const lent = call.memref(1);
  return () => lent.write(numberBytes(invocation.number), numberOffset(invocation.number, lent.capacity));
}

async function askService(
  call: TaCall,
  journal: RunJournal,
  service: ServiceName,
  invocation: Invocation,
): Promise<void> {
  const request = journal.beginRequest(invocation);
  const result = await call.rpc(SERVICES[service], [rpcValue('input', 0, request.number)]);
  journal.endRequest(request);
  if (result !== TeeResult.SUCCESS) throw new TeeError(result);
}

/** What secure world's drivers do in a bottom half. */
export function scenarioBottomHalf({ secureWorld }: Scenario, random: Random): NotificationDriver {
  return {
    async bottomHalf(thread) {
      for (const step of secureWorld.bottomHalf) {
        if (step.step === 'compute') await thread.compute(drawTime(step.time, random));
        else await thread.notify(step.notification);
      }
    },
  };
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
