import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readText, TextFileError } from '../../files/read-text.js';
import { FileLengthError } from '../../files/read-whole.js';
import type { ParameterValues } from '../../scenario/file/parameters.js';
import { parseScenario, ScenarioFileError } from '../../scenario/file/scenario-file.js';
import type { Scenario } from '../../scenario/scenario.js';
import { badUsage } from '../output/exit-code.js';
import { nearNames } from './near-names.js';

/** The scenarios in the package. */
const shippedFolder = fileURLToPath(new URL('../../../scenarios/', import.meta.url));

export const shippedScenarios = (): readonly string[] =>
  existsSync(shippedFolder)
    ? readdirSync(shippedFolder, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.yaml'))
        .sort()
    : [];

/** A file with this path, or one of the package: `rpmb-scmi-deadlock`, `scenarios/rpmb-scmi-deadlock.yaml`. */
export function scenarioPath(name: string): string {
  if (existsSync(name)) return name;
  const shipped = shippedScenarios();
  const wanted = name.replace(/\.ya?ml$/, '');
  const found =
    shipped.find((each) => each.replace(/\.yaml$/, '') === wanted.replace(/^(.*\/)?scenarios\//, '')) ??
    shipped.find((each) => basename(each, '.yaml') === wanted);
  return found === undefined ? name : join(shippedFolder, found);
}

/** Read a scenario for a command; if it is invalid, print why on standard error. */
export async function readScenarioOrSayWhy(name: string, set: ParameterValues = {}): Promise<Scenario | undefined> {
  const path = scenarioPath(name);
  try {
    if (existsSync(path) && statSync(path).isDirectory()) throw new Error(`${path} is a folder; a scenario is a file`);
    return parseScenario(await readText(path), path, set);
  } catch (error) {
    console.error(whyNot(error, path));
    process.exitCode = badUsage;
    return undefined;
  }
}

function whyNot(error: unknown, path: string): string {
  if (error instanceof ScenarioFileError || !(error instanceof Error)) return String((error as Error).message);
  if (error instanceof TextFileError || error instanceof FileLengthError) return `${path}: ${error.message}`;
  if ('code' in error && error.code === 'ENOENT') {
    const names = shippedScenarios().map((name) => name.replace(/\.yaml$/, ''));
    const short = names.map((name) => basename(name));
    const near = nearNames(basename(path).replace(/\.ya?ml$/, ''), short);
    const meant = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `the package has ${names.join(', ')}`;
    return `${path}: there is no such file (ENOENT); ${meant}`;
  }
  if ('code' in error) return `${path}: ${error.message}`;
  if (error.message.startsWith(path)) return error.message;
  throw error;
}
