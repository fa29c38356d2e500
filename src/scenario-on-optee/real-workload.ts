import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { Duration } from '../scenario/duration.js';
import type { Scenario, ScenarioApplication, ShippedApplication } from '../scenario/scenario.js';

/**
 * The part of a scenario that runs on the real OP-TEE: secure storage in RPMB, on an eMMC that is powered over SCMI.
 */
export interface RealWorkload {
  readonly title: string;
  readonly about: string;
  readonly queues: readonly DisciplineName[];
  readonly abi: 'smc' | 'ffa';
  readonly threads: number;
  /** Milliseconds per access to the card. */
  readonly access: number;
  /** Clocks and regulators, by their names in OP-TEE's SCMI server, in the order of switching on. */
  readonly needs: readonly string[];
  readonly transport: 'msg' | 'smt';
  readonly clients: readonly StorageClients[];
}

export interface StorageClients {
  readonly name: string;
  readonly count: number;
  readonly repeat: number;
  readonly start: Duration;
  readonly steps: readonly ({ readonly step: 'write' } | { readonly step: 'wait'; readonly time: Duration })[];
}

/**
 * Convert a scenario for the real OP-TEE.
 * @throws RangeError naming a part of the scenario that the real OP-TEE does not support.
 */
export function realWorkload(scenario: Scenario): RealWorkload {
  const { emmc, applications, clients, faults, services } = scenario;
  for (const application of applications.values()) requireReal(application);
  if (services.size > 0) throw refused(`services (${[...services.keys()].join(', ')}), which are modelled`);
  if (Object.values(faults).some((fault) => (Array.isArray(fault) ? fault.length > 0 : fault)))
    throw refused('faults, which only the simulated world has');
  if (scenario.preemption.max > 0) throw refused('preemption, which only the simulated world has');
  if (emmc === undefined) throw refused('no emmc, whose RPMB secure storage needs');
  const agent = clients.get(emmc.agent ?? '');
  const storage = [...clients.values()].filter(({ passive }) => !passive);
  return {
    ...{ title: scenario.title, about: scenario.about, queues: scenario.queues },
    ...{ abi: scenario.secureWorld.abi, threads: scenario.secureWorld.threads },
    ...{ access: emmc.access, needs: emmc.needs, transport: agent?.transport ?? 'msg' },
    clients: storage.map((client) => {
      const { name, count, repeat, start, application = '' } = client;
      if (!isShipped(applications.get(application), 'rpmb-storage'))
        throw refused(`client ${name}, whose application is not rpmb-storage`);
      if (!Number.isFinite(repeat)) throw refused(`client ${name}, which repeats for ever`);
      if (client.every !== undefined || client.deadline !== undefined || client.callers > 1 || client.kernel)
        throw refused(`client ${name} with a period, a deadline, several callers, or in the kernel`);
      const steps = client.steps.map((step) => {
        if (step.step === 'wait') return step;
        if (step.step !== 'invoke') throw refused(`client ${name}, which does ${step.step}`);
        if (step.command !== 'write')
          throw refused(`client ${name}, which invokes ${step.command}: only write is supported`);
        return { step: 'write' } as const;
      });
      return { name, count, repeat, start, steps };
    }),
  };
}

function requireReal(application: ScenarioApplication): void {
  if (isShipped(application, 'rpmb-storage') || isShipped(application, 'scmi')) return;
  throw refused(
    application.kind === 'shipped'
      ? `application ${application.name} (${application.use})`
      : `application ${application.name}, whose commands the scenario models`,
  );
}

function isShipped(application: ScenarioApplication | undefined, use: ShippedApplication['use']): boolean {
  return application?.kind === 'shipped' && application.use === use;
}

function refused(what: string): RangeError {
  return new RangeError(`this scenario cannot be run on the real OP-TEE: it has ${what}`);
}
