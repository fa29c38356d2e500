import { commandNames } from './check-pieces.js';
import { type FieldPath, list } from './problem.js';
import type { ScenarioFile } from './scenario-schema.js';
import type { ApplicationStepFile, ClientStepFile, ServiceStepFile } from './step-schemas.js';

type Report = (message: string, ...path: FieldPath) => void;

/** The maximum nesting depth of held locks. */
const deepestHold = 8;

interface Held<Step> {
  readonly hold?: { readonly lock: string; readonly steps: readonly Step[] } | undefined;
}

/** Every step with its path, including steps with a lock held. */
export function* stepsWithin<Step extends Held<Step>>(
  steps: readonly Step[],
  at: FieldPath,
  depth = 0,
): Generator<{ readonly step: Step; readonly at: FieldPath; readonly depth: number }> {
  for (const [index, step] of steps.entries()) {
    yield { step, at: [...at, index], depth };
    if (step.hold !== undefined && depth < deepestHold)
      yield* stepsWithin(step.hold.steps, [...at, index, 'hold', 'steps'], depth + 1);
  }
}

/** Checks the references of steps: locks, services, clients, applications and their commands. */
export class StepCheck {
  constructor(
    private readonly file: ScenarioFile,
    private readonly report: Report,
  ) {}

  /** Check the steps of a command, which execute in secure world. */
  ofCommand(steps: readonly ApplicationStepFile[], application: string, path: FieldPath): void {
    const { file, report } = this;
    for (const { step, at, depth } of stepsWithin(steps, path)) {
      this.lock(step, 'secure', at, depth);
      const { rpc, invoke } = step;
      if (rpc !== undefined && file.services?.[rpc] === undefined)
        report(`there is no service ${rpc}; services are ${list(Object.keys(file.services ?? {}))}`, ...at, 'rpc');
      if (invoke === undefined) continue;
      const other = file.applications[invoke.application];
      if (other === undefined || invoke.application === application)
        report(
          `expected another application of the file; applications are ${list(Object.keys(file.applications))}`,
          ...at,
          'invoke',
          'application',
        );
      else if (other.use !== undefined)
        report('only an application with commands in the file can be invoked by another', ...at, 'invoke');
      else this.command(invoke.application, invoke.command, ...at, 'invoke', 'command');
    }
    this.circle(application, path);
  }

  ofService(steps: readonly ServiceStepFile[], path: FieldPath): void {
    const { file, report } = this;
    for (const { step, at, depth } of stepsWithin(steps, path)) {
      this.lock(step, 'normal', at, depth);
      if (step.invoke === undefined) continue;
      const client = file.clients[step.invoke.client];
      if (client === undefined || client.passive !== true)
        report(
          `there is no passive client ${step.invoke.client}; passive are ${list(passive(file))}`,
          ...at,
          'invoke',
          'client',
        );
      else this.command(client.application, step.invoke.command, ...at, 'invoke', 'command');
    }
  }

  /** @param owner the client whose session it uses. */
  ofClient(
    steps: readonly ClientStepFile[],
    owner: ScenarioFile['clients'][string] | undefined,
    path: FieldPath,
  ): void {
    const { file, report } = this;
    const applications = [owner?.application ?? [], owner?.applications ?? []].flat();
    for (const { step, at, depth } of stepsWithin(steps, path)) {
      this.lock(step, 'normal', at, depth);
      const { invoke, notify, close, free, system, open } = step;
      const resourcesChange = close ?? free ?? system ?? open;
      if (resourcesChange !== undefined && file.applications[applications[0] ?? '']?.commands === undefined)
        report('is only for a client of an application with commands in the file', ...at);
      if (system !== undefined && owner?.kernel !== true)
        report('only a client inside the kernel may ask for a system session', ...at, 'system');
      if (typeof invoke === 'string') this.command(applications[0], invoke, ...at, 'invoke');
      else if (invoke !== undefined && !applications.includes(invoke.application))
        report(
          `the client has no session with ${invoke.application}; its applications are ${list(applications)}`,
          ...at,
          'invoke',
          'application',
        );
      else if (invoke !== undefined) this.command(invoke.application, invoke.command, ...at, 'invoke', 'command');
      if (typeof notify === 'number' && file.secureWorld?.abi === 'ffa')
        report('over FF-A OP-TEE has one notification: bottom-half', ...at, 'notify');
    }
  }

  /** Check a reference to a lock, in a `hold` step or elsewhere. */
  lockNamed(name: string, world: 'normal' | 'secure', ...at: FieldPath): void {
    const { locks = {} } = this.file;
    const found = locks[name];
    const { world: its = 'normal' } = found ?? {};
    if (found === undefined) this.report(`there is no lock ${name}; locks are ${list(Object.keys(locks))}`, ...at);
    else if (its !== world)
      this.report(
        world === 'secure'
          ? `${name} is a lock of the normal world; a command can only hold one with world: secure`
          : `${name} is a lock of secure world; only commands of applications can hold it`,
        ...at,
      );
  }

  private lock(step: Held<unknown>, world: 'normal' | 'secure', at: FieldPath, depth: number): void {
    if (step.hold === undefined) return;
    if (depth >= deepestHold) this.report(`locks may be nested at most ${deepestHold} deep`, ...at, 'hold');
    else this.lockNamed(step.hold.lock, world, ...at, 'hold', 'lock');
  }

  private command(application: string | undefined, command: string, ...path: FieldPath): void {
    const found = this.file.applications[application ?? ''];
    // A missing application is reported where it is named.
    if (found !== undefined && !commandNames(found).includes(command))
      this.report(`application ${application} has no command ${command}; it has ${list(commandNames(found))}`, ...path);
  }

  /** Check for a cycle of applications that invoke each other, which would never end. */
  private circle(application: string, path: FieldPath): void {
    const [, , , command = ''] = path;
    const seen = new Set<string>();
    const leadsBack = (name: string, of: string): boolean => {
      if (seen.has(`${name} ${of}`)) return false;
      seen.add(`${name} ${of}`);
      const steps = this.file.applications[name]?.commands?.[of] ?? [];
      return [...stepsWithin(steps, [])].some(
        ({ step: { invoke } }) =>
          invoke !== undefined &&
          ((invoke.application === application && invoke.command === command) ||
            leadsBack(invoke.application, invoke.command)),
      );
    };
    if (leadsBack(application, String(command)))
      this.report('it invokes itself through other commands: it would never end', ...path);
  }
}

export const passive = (file: ScenarioFile) =>
  Object.entries(file.clients).flatMap(([name, client]) => (client.passive === true ? [name] : []));

/** Whether a round takes no virtual time. Repeated without end, such steps would stop virtual time. */
export function takesNoTime(file: ScenarioFile, client: ScenarioFile['clients'][string]) {
  const commandTakesNone = (name: string, command: string): boolean => {
    const application = file.applications[name];
    if (application?.use !== undefined) return (application.compute ?? 0) === 0;
    return (application?.commands?.[command] ?? []).every(
      ({ compute, wait }) => (compute ?? wait ?? { min: 0 }).min === 0,
    );
  };
  const own = client.application ?? client.applications?.[0] ?? '';
  const takesNone = ({ wait, compute, invoke, hold }: ClientStepFile): boolean => {
    const time = wait ?? compute;
    if (time !== undefined) return time.min === 0;
    if (hold !== undefined) return hold.steps.every(takesNone);
    if (invoke === undefined) return true;
    return typeof invoke === 'string'
      ? commandTakesNone(own, invoke)
      : commandTakesNone(invoke.application, invoke.command);
  };
  return takesNone;
}
