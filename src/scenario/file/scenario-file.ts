import type { Scenario } from '../scenario.js';
import { checked } from './all-problems.js';
import { completed } from './completed.js';
import { LocatedYaml } from './located-yaml.js';
import { type ParameterValues, withParameters } from './parameters.js';
import { ScenarioFileError } from './scenario-file-error.js';

export { type LocatedProblem, ScenarioFileError } from './scenario-file-error.js';

/**
 * Read a scenario.
 * @param file its name, for messages.
 * @param set values for its parameters, which override those in the file.
 * @throws ScenarioFileError with all problems, in the order of the file.
 */
export function parseScenario(text: string, file: string, set: ParameterValues = {}): Scenario {
  const yaml = new LocatedYaml(text, file);
  const filled = withParameters(yaml.plain, set);
  const { parsed, problems: found } = checked(filled.plain);
  // A value whose parameter could not be substituted is not checked.
  const unfilled = new Set(filled.problems.map(({ path }) => path.join('.')));
  const problems = [
    ...yaml.unusableKeys(),
    ...filled.problems,
    ...found.filter(({ path }) => !unfilled.has(path.join('.'))),
  ];
  if (problems.length > 0) throw new ScenarioFileError(file, yaml.locate(problems));
  if (parsed === undefined) throw new Error('a refused scenario without a problem');
  return completed(parsed);
}
