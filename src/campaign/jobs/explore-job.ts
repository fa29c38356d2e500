import { exploreScenario } from '../../explore/driver/explore-scenario.js';
import { RUN_PROPERTY_NAMES } from '../../explore/driver/properties/run-checks.js';
import { parseScenario } from '../../scenario/file/scenario-file.js';
import type { ResultOf } from '../job-result.js';
import type { JobOf } from '../plan.js';
import type { Claims } from './fuzz-job.js';

export async function runExploreJob(job: JobOf<'explore'>, { claim }: Claims): Promise<ResultOf<'explore'>> {
  const { scenario, queue, strategy, seed, runs: maxRuns, faults, maxFaults } = job;
  const { runs, seconds, properties } = await exploreScenario(parseScenario(scenario.text, scenario.name), {
    ...{ queue, strategy, seed, maxRuns, goOn: true },
    faults: { kinds: faults, most: maxFaults },
    shrink: (property) => claim(`breach ${scenario.name} ${queue} ${property}`),
  });
  const struck = faults.length === 0 ? '' : ` --faults ${faults.join(',')} --max-faults ${maxFaults}`;
  const breaches = RUN_PROPERTY_NAMES.flatMap((property) => {
    const { verdict, decisions, shrunk } = properties[property];
    // Another job minimises this counterexample.
    if (verdict !== 'broken' || !shrunk) return [];
    const list = decisions.length === 0 ? '0' : decisions.join(',');
    const how = `normalworld explore ${scenario.name} --queue ${queue} --seed ${seed}${struck} --decisions ${list}`;
    return [{ property, queue, how }];
  });
  return { kind: 'explore', runs, seconds, breaches };
}
