import { scmiCommands } from '../pieces/scmi-service.js';
import { shippedCommands } from '../pieces/shipped-applications.js';
import { type FieldPath, list, type Problem } from './problem.js';
import type { ScenarioFile } from './scenario-schema.js';

type ApplicationFile = ScenarioFile['applications'][string];
type Report = (message: string, ...path: FieldPath) => void;

/** The commands of an application that clients and services can invoke. */
export function commandNames({
  use,
  clocks = [],
  regulators = [],
  resets = [],
  commands = {},
}: ApplicationFile): readonly string[] {
  if (use === undefined) return Object.keys(commands);
  return use === 'scmi' ? scmiCommands({ clocks, regulators, resets }) : shippedCommands[use];
}

/** Fields that only a modelled application has. */
const modelledOnly = [
  'kind',
  'concurrent',
  'singleInstance',
  'multiSession',
  'device',
  'cancellable',
  'commands',
] as const;

/** The problems of built-in parts of a scenario: shipped applications, SCMI agents, the eMMC. */
export function checkPieces(file: ScenarioFile): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (message, ...path) => problems.push({ path, message });
  const users = new Map<string, string>();
  for (const [name, application] of Object.entries(file.applications)) {
    const { use } = application;
    const at: FieldPath = ['applications', name];
    if (use === undefined) {
      checkModelled(application, report, at);
      continue;
    }
    for (const field of modelledOnly)
      if (application[field] !== undefined) report(`${use} cannot be modified and has no ${field}`, ...at, field);
    const other = users.get(use);
    if (other !== undefined) report(`${other} already uses ${use}; secure world has one of each`, ...at, 'use');
    users.set(use, name);
    if (use === 'scmi') checkScmi(application, report, at);
    else
      for (const field of ['clocks', 'regulators', 'resets'] as const)
        if (application[field] !== undefined) report(`only scmi has ${field}`, ...at, field);
    if (use === 'device-enumeration' && application.compute !== undefined)
      report('device-enumeration cannot be modified and has no compute', ...at, 'compute');
    if (use === 'rpmb-storage' && file.emmc === undefined)
      report('rpmb-storage needs a card: add emmc, such as { rpmb: kernel }', ...at, 'use');
    if (use === 'storage' && file.services?.fs !== undefined)
      report("storage needs the supplicant's own files, but services.fs answers instead", ...at, 'use');
  }
  checkClients(file, report);
  checkEmmc(file, report);
  return problems;
}

function checkModelled(application: ApplicationFile, report: Report, at: FieldPath): void {
  if (application.kind === undefined)
    report(
      'an application needs kind (user or pseudo) and commands, or use with the name of one of the package',
      ...at,
    );
  else if (application.commands === undefined)
    report('is missing; expected a mapping from the names of commands to their steps', ...at, 'commands');
  for (const field of ['compute', 'clocks', 'regulators', 'resets'] as const)
    if (application[field] !== undefined) report(`only an application with use has ${field}`, ...at, field);
}

function checkScmi(
  { clocks = [], regulators = [], resets = [] }: ApplicationFile,
  report: Report,
  at: FieldPath,
): void {
  const named = Object.entries({ clocks, regulators, resets }).flatMap(([field, names]) =>
    names.map((name, index) => ({ name, path: [field, index] as const })),
  );
  if (named.length === 0) report('an SCMI service needs clocks, regulators or resets', ...at);
  const seen = new Set<string>();
  for (const { name, path } of named) {
    if (seen.has(name)) report(`there is already a ${name}`, ...at, ...path);
    seen.add(name);
  }
}

function checkClients({ clients, applications, faults }: ScenarioFile, report: Report): void {
  for (const [name, client] of Object.entries(clients)) {
    const { application = client.applications?.[0] ?? '', kernel, transport, sharedMemory } = client;
    const use = applications[application]?.use;
    const isAgent = use === 'scmi';
    if (isAgent && kernel !== true)
      report('an SCMI agent is inside the kernel: add kernel: true', 'clients', name, 'application');
    if (!isAgent && transport !== undefined)
      report('only a client of an SCMI service has a transport', 'clients', name, 'transport');
    if (use !== undefined && sharedMemory !== undefined)
      report(`calls of ${use} cannot pass shared memory of the client`, 'clients', name, 'sharedMemory');
  }
  faults?.panics?.forEach(({ application }, index) => {
    if (applications[application]?.use === 'scmi')
      report('the commands of an SCMI service are messages, which do not panic', 'faults', 'panics', index);
  });
}

function checkEmmc({ emmc, clients, applications, services }: ScenarioFile, report: Report): void {
  if (emmc === undefined) return;
  const { needs = [], agent } = emmc;
  if (emmc.rpmb === 'supplicant' && services?.rpmb !== undefined)
    report('the supplicant routes frames to the card, but services.rpmb answers instead', 'emmc', 'rpmb');
  if (agent === undefined) {
    if (needs.length > 0)
      report('these need an agent: add agent, a passive client of an SCMI service', 'emmc', 'needs');
    return;
  }
  const service = applications[clients[agent]?.application ?? ''];
  if (clients[agent]?.passive !== true || service?.use !== 'scmi') {
    report(`${agent} is not a passive client of an SCMI service`, 'emmc', 'agent');
    return;
  }
  const { clocks = [], regulators = [] } = service;
  const known = [...regulators, ...clocks];
  needs.forEach((name, index) => {
    if (!known.includes(name))
      report(`there is no clock or regulator ${name} behind ${agent}; it has ${list(known)}`, 'emmc', 'needs', index);
    else if (needs.indexOf(name) !== index) report(`${name} is named twice`, 'emmc', 'needs', index);
  });
}
