import { explore } from '../../explore/queue/explore.js';
import { type Configuration, underDiscipline } from '../../explore/queue/model/configurations.js';
import { PROPERTY_NAMES } from '../../explore/queue/properties/properties.js';
import type { ResultOf } from '../job-result.js';
import type { JobOf } from '../plan.js';

export async function runTableJob({ queue, configuration, maxStates }: JobOf<'table'>): Promise<ResultOf<'table'>> {
  const config = underDiscipline(configuration as Configuration, queue);
  const { states, seconds, bound, properties } = await explore(config, { maxStates, workers: 1 });
  const broken = PROPERTY_NAMES.filter((name) => properties[name].verdict === 'broken');
  return { kind: 'table', queue, group: configuration.group, states, seconds, bound, broken };
}
