import type { Context, KernelContext } from '../../client/context.js';
import { memref, value } from '../../client/parameters.js';
import { KernelSession, type Session } from '../../client/session.js';
import type { SharedMemory } from '../../client/shared-memory.js';
import type { Random } from '../../clock/random.js';
import { TeeResult } from '../../protocol/tee-result.js';
import {
  type Faults,
  type NotificationDriver,
  type TaCall,
  TeeError,
  trustedApplication,
} from '../../worlds/simulated/index.js';
import { drawTime } from '../duration.js';
import { leastNumbered, numberBytes, numberOffset } from '../journal/invocation-number.js';
import type { Invocation, RunJournal } from '../journal/run-journal.js';
import type { ModelledApplication, Scenario } from '../scenario.js';
import { CommandSteps } from './command-steps.js';
import { openSession } from './port.js';
import { Processors } from './processors.js';
import type { RunningApplication } from './running-application.js';
import { scmiService } from './scmi-service.js';
import { runningShipped } from './shipped-applications.js';

/** The applications of a scenario, by name. */
export function scenarioApplications(
  scenario: Scenario,
  journal: RunJournal,
  processors: Processors = new Processors(undefined),
): ReadonlyMap<string, RunningApplication> {
  const modelled = new Map<string, { readonly uuid: string; readonly application: ModelledApplication }>();
  const steps = new CommandSteps({ journal, processors, applications: modelled });
  return new Map(
    Array.from(scenario.applications.values(), (application, index) => {
      const { name } = application;
      if (application.kind === 'shipped')
        return application.use === 'scmi'
          ? [name, scmiService(application, processors)]
          : [name, runningShipped(application.use, application.compute, processors)];
      const uuid = `00000000-0000-4000-8000-${(index + 1).toString(16).padStart(12, '0')}`;
      modelled.set(name, { uuid, application });
      return [name, modelledApplication(application, uuid, steps, journal)];
    }),
  );
}

/** An application that the scenario describes. Clients pass the number of their invocation as the first value. */
function modelledApplication(
  application: ModelledApplication,
  uuid: string,
  steps: CommandSteps,
  journal: RunJournal,
): RunningApplication {
  const commands = [...application.commands.keys()];
  const { name, concurrent, singleInstance, multiSession, device } = application;
  const definition = {
    uuid,
    name,
    ...(device === undefined ? {} : { device }),
    create: () => ({
      async invokeCommand(call: TaCall): Promise<void> {
        const invocation = journal.findInvocation(call.value(0).a);
        const its = application.commands.get(commands[call.command] ?? '');
        if (invocation === undefined || its === undefined) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
        // For an inner invocation, made by another application, the journal uses `sleepsFor` instead.
        const inner = invocation.executing;
        invocation.executing = true;
        const place = inner ? undefined : lentPlace(call, invocation);
        journal.checkLent(invocation);
        const sleepsFor = invocation.sleepsFor;
        invocation.sleepsFor = undefined;
        await steps.command(call, name, invocation, its);
        invocation.sleepsFor = sleepsFor;
        journal.checkLent(invocation);
        place?.();
        invocation.executing = inner;
      },
      closeSession: (call: TaCall) => steps.close(call),
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
        async invoke(command, invocation, signal) {
          const number = value.input(invocation);
          const lent = memory;
          const options = signal === undefined ? {} : { signal };
          if (lent === undefined) return session.invoke(commandNumber(command), [number], options);
          journal.lend(invocation, lent.shm);
          const outputs = await session.invoke(commandNumber(command), [number, memref.inout(lent)], options);
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

/** Shared memory for a session. If it cannot be allocated, the session is closed. */
async function memoryFor(context: Context | KernelContext, session: Session, size: number): Promise<SharedMemory> {
  try {
    return await context.allocateSharedMemory(size);
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** A function that writes the number of the invocation into its shared memory at the end; undefined without memory. */
function lentPlace(call: TaCall, invocation: Invocation): (() => void) | undefined {
  if (invocation.lent === undefined || invocation.lent.size < leastNumbered) return undefined;
  const lent = call.memref(1);
  return () => lent.write(numberBytes(invocation.number), numberOffset(invocation.number, lent.capacity));
}

/** The bottom half of secure world's drivers. */
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

/** The faults of a scenario inside secure world. */
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
