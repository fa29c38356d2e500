import { checkPieces, commandNames } from './check-pieces.js';
import { StepCheck, takesNoTime } from './check-steps.js';
import { type FieldPath, list, type Problem } from './problem.js';
import { defaultThreads, type ScenarioFile } from './scenario-schema.js';

type ClientFile = ScenarioFile['clients'][string];

/**
 * Maximum number of callers of all clients together. Each can have a call in flight, which needs memory for its
 * messages.
 */
export const mostCallers = 4096;

/** Fields that a passive client cannot have, because it makes calls only for services. */
const activeOnly = [
  'count',
  'callers',
  'repeat',
  'every',
  'start',
  'stagger',
  'timeout',
  'applications',
  'steps',
  'session',
] as const;

/** The problems of references to missing objects, and of contradictions. */
export function checkReferences(file: ScenarioFile): Problem[] {
  const problems = checkPieces(file);
  const report = (message: string, ...path: FieldPath) => problems.push({ path, message });

  const steps = new StepCheck(file, report);
  const commandOf = (application: string | undefined, command: string, ...path: FieldPath) => {
    const found = file.applications[application ?? ''];
    // A missing application is reported where it is named.
    if (found !== undefined && !commandNames(found).includes(command))
      report(`application ${application} has no command ${command}; it has ${list(commandNames(found))}`, ...path);
  };

  for (const [name, application] of Object.entries(file.applications)) {
    const at: FieldPath = ['applications', name];
    const other =
      application.kind === 'pseudo' ? (['singleInstance', 'multiSession'] as const) : ['concurrent' as const];
    for (const field of other)
      if (application.use === undefined && application[field] !== undefined)
        report(`a ${application.kind} application has no ${field}`, ...at, field);
    for (const [command, its] of Object.entries(application.commands ?? {}))
      steps.ofCommand(its, name, [...at, 'commands', command]);
  }

  for (const [name, service] of Object.entries(file.services ?? {}))
    if (service !== undefined) steps.ofService(service.steps, ['services', name, 'steps']);
  for (const field of ['claim', 'switching'] as const)
    if (file.emmc?.[field] !== undefined) steps.lockNamed(file.emmc[field], 'normal', 'emmc', field);

  for (const [name, client] of Object.entries(file.clients)) {
    const at: FieldPath = ['clients', name];
    if (client.threadOf !== undefined) checkThread(file, client, report, at);
    else if (client.application === undefined && client.applications === undefined) checkDevice(client, report, at);
    else checkApplications(file, client, report, at);
    if (client.system === true && client.kernel !== true)
      report('only a client inside the kernel (kernel: true) may have system sessions', ...at, 'system');
    if (client.passive === true) {
      for (const field of activeOnly)
        if (client[field] !== undefined)
          report(`a passive client has no ${field}: it makes calls only for services`, ...at, field);
    } else if (client.steps === undefined) {
      report('a client that is not passive needs steps, such as [{ invoke: write }]', ...at);
    }
    if (client.session === 'each-round') {
      if (client.kernel === true) report('a client inside the kernel keeps its session', ...at, 'session');
      if ((client.callers ?? 1) > 1)
        report('a client that opens a session for each round has one caller', ...at, 'session');
    }
    steps.ofClient(client.steps ?? [], file.clients[client.threadOf ?? name], [...at, 'steps']);
    if (client.repeat === 'forever' && client.every === undefined && client.steps?.every(takesNoTime(file, client)))
      report('these steps may repeat for ever without taking time: add a wait, or every', ...at, 'repeat');
  }
  const callers = Object.entries(file.clients).map(([name, { count = 1, callers: each = 1 }]) => ({
    name,
    all: count * each,
  }));
  const all = callers.reduce((sum, client) => sum + client.all, 0);
  const [largest] = callers.sort((one, other) => other.all - one.all);
  if (largest !== undefined && all > mostCallers)
    report(
      `count times callers are ${largest.all} here, and ${all} in all; a scenario has at most ${mostCallers}`,
      'clients',
      largest.name,
    );
  if (Object.values(file.clients).every((client) => client.passive === true))
    report('all clients are passive: at least one must make calls', 'clients');

  file.faults?.panics?.forEach(({ application, command }, index) => {
    const at: FieldPath = ['faults', 'panics', index];
    if (file.applications[application] === undefined)
      report(`there is no application ${application}`, ...at, 'application');
    else commandOf(application, command, ...at, 'command');
  });
  for (const kind of ['unanswered', 'late', 'duplicated', 'corrupted'] as const)
    file.faults?.[kind]?.forEach(({ rpc }, index) => {
      if (file.services?.[rpc] === undefined) report(`there is no service ${rpc}`, 'faults', kind, index, 'rpc');
      else if (rpc === 'i2c' && kind !== 'unanswered')
        report(
          `${kind} applies to answers of a supplicant; the kernel makes I2C transfers`,
          'faults',
          kind,
          index,
          'rpc',
        );
    });
  file.faults?.deaths?.forEach(({ client: name, number }, index) => {
    const at: FieldPath = ['faults', 'deaths', index];
    const client = file.clients[name];
    const { count = 1, kernel = false } = client ?? {};
    if (client === undefined)
      report(`there is no client ${name}; clients are ${list(Object.keys(file.clients))}`, ...at, 'client');
    else if (kernel) report(`${name} is part of the kernel, which does not die`, ...at, 'client');
    else if (number === undefined && count > 1)
      report(`there are ${count} clients ${name}: choose one with number`, ...at, 'client');
    else if (number !== undefined && number > count)
      report(`there ${count === 1 ? 'is 1 client' : `are ${count} clients`} ${name}`, ...at, 'number');
  });
  const { threads = defaultThreads } = file.secureWorld ?? {};
  if ((file.faults?.lostThreads?.length ?? 0) >= threads)
    report(`secure world has ${threads} threads, and keeps at least one`, 'faults', 'lostThreads');
  return problems;
}

/** Check the applications that a client has sessions with. */
function checkApplications(
  file: ScenarioFile,
  client: ClientFile,
  report: (message: string, ...path: FieldPath) => void,
  at: FieldPath,
): void {
  const named: readonly (readonly [string, FieldPath])[] = [
    ...(client.application === undefined ? [] : [[client.application, [...at, 'application']] as const]),
    ...(client.applications ?? []).map((name, index) => [name, [...at, 'applications', index]] as const),
  ];
  for (const [name, path] of named)
    if (file.applications[name] === undefined)
      report(`there is no application ${name}; applications are ${list(Object.keys(file.applications))}`, ...path);
  const several = new Set(named.map(([name]) => name)).size > 1;
  if (several && client.session === 'each-round')
    report('a client that opens a session for each round has one application', ...at, 'session');
  if (several && named.some(([name]) => file.applications[name]?.use === 'scmi'))
    report('an SCMI agent has no other application', ...at, 'applications');
}

/** Check a further thread of another client: it has no session and memory of its own. */
function checkThread(
  file: ScenarioFile,
  client: ClientFile,
  report: (message: string, ...path: FieldPath) => void,
  at: FieldPath,
): void {
  const owner = file.clients[client.threadOf ?? ''];
  if (owner === undefined || owner === client || owner.threadOf !== undefined || owner.application === undefined)
    report('expected the name of a client with its own application and session', ...at, 'threadOf');
  else if (owner.passive === true || (owner.count ?? 1) > 1 || owner.session === 'each-round')
    report('the other client must have count 1, must not be passive, and must keep its session', ...at, 'threadOf');
  for (const field of [
    'application',
    'applications',
    'kernel',
    'system',
    'sharedMemory',
    'session',
    'passive',
    'transport',
    'count',
  ] as const)
    if (client[field] !== undefined)
      report('a thread of another client uses the settings of that client', ...at, field);
}

/** Check a client without an application, which stands for a device of secure world. */
function checkDevice(client: ClientFile, report: (message: string, ...path: FieldPath) => void, at: FieldPath): void {
  if (
    client.passive === true ||
    client.steps === undefined ||
    client.steps.some(({ invoke, hold }) => invoke !== undefined || hold !== undefined)
  ) {
    report(
      'is missing; expected a name: only a client with only wait and notify steps needs none',
      ...at,
      'application',
    );
    return;
  }
  for (const field of ['kernel', 'system', 'deadline', 'timeout'] as const)
    if (client[field] !== undefined) report(`a client without an application has no ${field}`, ...at, field);
}
