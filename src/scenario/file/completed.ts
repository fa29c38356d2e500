import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import type { Duration } from '../duration.js';
import type { Expectation } from '../expectation.js';
import { rubbishResult } from '../faults/run-faults.js';
import type {
  ApplicationStep,
  BottomHalfStep,
  ClientStep,
  Scenario,
  ScenarioApplication,
  ScenarioClient,
  ScenarioEmmc,
  ScenarioFaults,
  ScenarioService,
  ServiceName,
  ServiceStep,
} from '../scenario.js';
import { defaultThreads, type ScenarioFile } from './scenario-schema.js';
import type { ApplicationStepFile, ClientStepFile, ServiceStepFile } from './step-schemas.js';

/** The default limit of a run, in milliseconds. */
const defaultLimitMs = 10_000;

const noTime: Duration = { min: 0, max: 0 };

/** Fill in the defaults of a checked file. */
export function completed(file: ScenarioFile): Scenario {
  const threads = file.secureWorld?.threads ?? defaultThreads;
  return {
    title: file.title,
    about: file.about?.trim() ?? '',
    queues: file.queues ?? ['linux-6.7', 'patch-v6', 'linux-6.8', 'hand-off'],
    expect: expectationOf(file.expect),
    limit: file.limit ?? defaultLimitMs,
    preemption: file.preemption ?? noTime,
    cpus: file.cpus,
    reserve: file.reserve ?? false,
    locks: mapped(file.locks ?? {}, (_, { world = 'normal', reentrant = false }) => ({ world, reentrant })),
    supplicant: {
      threads: file.supplicant?.threads ?? Number.POSITIVE_INFINITY,
      loadTa: file.supplicant?.loadTa ?? noTime,
      allocate: file.supplicant?.allocate ?? noTime,
    },
    secureWorld: {
      threads,
      announced: file.secureWorld?.announced ?? threads,
      abi: file.secureWorld?.abi ?? 'smc',
      reservedShm: file.secureWorld?.reservedShm ?? true,
      bottomHalf: file.secureWorld?.bottomHalf?.map(bottomHalfStep) ?? [],
    },
    applications: mapped(file.applications, applicationOf),
    services: mapped(file.services ?? {}, serviceOf) as ReadonlyMap<ServiceName, ScenarioService>,
    emmc: file.emmc === undefined ? undefined : emmcOf(file.emmc),
    clients: mapped(file.clients, (name, client) => clientOf(name, client, applicationOfClient(file, client))),
    faults: faultsOf(file),
  };
}

function expectationOf(file: ScenarioFile['expect']): Expectation {
  if (file === undefined) return { byQueue: new Map() };
  if (typeof file === 'string') return { every: [file], byQueue: new Map() };
  if (Array.isArray(file)) return { every: file, byQueue: new Map() };
  const entries = Object.entries(file).flatMap(([queue, outcomes]) =>
    outcomes === undefined ? [] : [[queue as DisciplineName, [outcomes].flat()] as const],
  );
  return { byQueue: new Map(entries) };
}

function faultsOf({ faults = {}, clients }: ScenarioFile): ScenarioFaults {
  const { supplicant } = faults;
  return {
    unanswered: faults.unanswered ?? [],
    panics: faults.panics ?? [],
    supplicantAbsent: supplicant === 'absent',
    supplicantLeaves:
      typeof supplicant === 'object'
        ? [supplicant].flat().map(({ leaves, returns }) => ({ at: leaves, back: returns }))
        : [],
    suspends: (faults.suspend ?? []).map(({ at, resumes }) => ({ at, resumes })),
    answers: [
      ...(faults.late ?? []).map(({ rpc, nth, by }) => ({ rpc, nth, fault: { fault: 'late', by } as const })),
      ...(faults.duplicated ?? []).map(({ rpc, nth }) => ({ rpc, nth, fault: { fault: 'duplicated' } as const })),
      ...(faults.corrupted ?? []).map(({ rpc, nth }) => ({ rpc, nth, fault: rubbishResult })),
    ],
    deaths: (faults.deaths ?? []).map(({ client, number = 1, at }) => ({
      client: (clients[client]?.count ?? 1) === 1 ? client : `${client} ${number}`,
      at,
    })),
    lostThreads: faults.lostThreads ?? [],
    interruptPeriod: faults.interrupts,
  };
}

function mapped<From, To>(record: Readonly<Record<string, From>>, convert: (name: string, value: From) => To) {
  return new Map(Object.entries(record).map(([name, value]) => [name, convert(name, value)]));
}

function applicationOf(name: string, file: ScenarioFile['applications'][string]): ScenarioApplication {
  const { use, compute = 0, clocks = [], regulators = [], resets = [] } = file;
  if (use !== undefined) return { name, kind: 'shipped', use, compute, clocks, regulators, resets };
  const { kind, concurrent = false, singleInstance = false, multiSession = false, device, cancellable = false } = file;
  if (kind === undefined) throw new Error('an application without a kind');
  const commands = mapped(file.commands ?? {}, (_, steps) => steps.map(applicationStep));
  return { name, kind, concurrent, singleInstance, multiSession, device, cancellable, commands };
}

function applicationStep(file: ApplicationStepFile): ApplicationStep {
  const { compute, wait, rpc, await: awaited, notify, invoke, hold } = file;
  if (compute !== undefined) return { step: 'compute', time: compute };
  if (wait !== undefined) return { step: 'wait', time: wait };
  if (rpc !== undefined) return { step: 'rpc', service: rpc };
  if (notify !== undefined) return { step: 'notify', notification: notify };
  if (invoke !== undefined) return { step: 'invoke', ...invoke };
  if (hold !== undefined) return { step: 'hold', lock: hold.lock, steps: hold.steps.map(applicationStep) };
  if (typeof awaited === 'number') return { step: 'await', notification: awaited, timeout: 0 };
  if (awaited !== undefined)
    return { step: 'await', notification: awaited.notification, timeout: awaited.timeout ?? 0 };
  throw new Error('a step of a command without a field');
}

function bottomHalfStep({
  compute,
  notify,
}: NonNullable<NonNullable<ScenarioFile['secureWorld']>['bottomHalf']>[number]): BottomHalfStep {
  if (compute !== undefined) return { step: 'compute', time: compute };
  if (notify !== undefined) return { step: 'notify', notification: notify };
  throw new Error('a step of a bottom half without a field');
}

type ServiceFile = NonNullable<NonNullable<ScenarioFile['services']>[ServiceName]>;

function serviceOf(_name: string, file: ServiceFile | undefined): ScenarioService {
  return { exclusive: file?.exclusive ?? false, steps: file?.steps.map(serviceStep) ?? [] };
}

function serviceStep({ wait, invoke, hold }: ServiceStepFile): ServiceStep {
  if (wait !== undefined) return { step: 'wait', time: wait };
  if (invoke !== undefined) return { step: 'invoke', ...invoke };
  if (hold !== undefined) return { step: 'hold', lock: hold.lock, steps: hold.steps.map(serviceStep) };
  return { step: 'never' };
}

function emmcOf(file: NonNullable<ScenarioFile['emmc']>): ScenarioEmmc {
  const { rpmb, access = 0, needs = [], agent, claim, switching } = file;
  return { rpmb, access, needs, agent, claim, switching };
}

/** The first application of a client, or of the client whose thread it is. Steps that name no application use it. */
function applicationOfClient({ clients }: ScenarioFile, { threadOf, ...own }: ClientFile): string | undefined {
  const { application, applications } = (threadOf === undefined ? undefined : clients[threadOf]) ?? own;
  return application ?? applications?.[0];
}

type ClientFile = ScenarioFile['clients'][string];

/** @param called the application for steps that name none. */
function clientOf(name: string, file: ClientFile, called: string | undefined): ScenarioClient {
  const { kernel = false, system = false, passive = false, transport = 'msg', count = 1, callers = 1 } = file;
  const { repeat = 1, every, deadline, priority = 0, stagger = 0, timeout } = file;
  const applications = [...new Set([file.application ?? [], file.applications ?? []].flat())];
  const [application] = applications;
  return {
    name,
    kernel,
    system,
    application,
    applications,
    sessionEachRound: file.session === 'each-round',
    sharedMemory: file.sharedMemory ?? 0,
    threadOf: file.threadOf,
    passive,
    transport,
    count,
    callers,
    repeat: repeat === 'forever' ? Number.POSITIVE_INFINITY : repeat,
    every,
    start: file.start ?? noTime,
    stagger,
    priority,
    timeout,
    deadline,
    steps: file.steps?.map((step) => clientStep(step, called ?? '')) ?? [],
  };
}

/** @param application the application for a step that names only a command. */
function clientStep(file: ClientStepFile, application: string): ClientStep {
  const { invoke, wait, until, compute, hold, notify, ...others } = file;
  if (typeof invoke === 'string') return { step: 'invoke', application, command: invoke };
  if (invoke !== undefined) return { step: 'invoke', ...invoke };
  if (wait !== undefined) return { step: 'wait', time: wait };
  if (until !== undefined) return { step: 'until', time: until };
  if (compute !== undefined) return { step: 'compute', time: compute };
  if (hold !== undefined)
    return { step: 'hold', lock: hold.lock, steps: hold.steps.map((step) => clientStep(step, application)) };
  if (notify !== undefined) return { step: 'notify', notification: notify === 'bottom-half' ? 0 : notify };
  for (const step of ['close', 'free', 'system', 'open'] as const) if (others[step] !== undefined) return { step };
  throw new Error('a step of a client without a field');
}
