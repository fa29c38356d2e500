import type { Schedule } from '../../clock/schedule.js';
import type { Scenario } from '../scenario.js';

/**
 * A scheduling point before the supplicant takes a request, so that other tasks can make requests or end before. Only
 * if the fine-grained points are wanted and applications of the file use the supplicant.
 * @param begun whether the main phase of the run has begun; before it nothing is explored.
 */
export function supplicantTurns({ applications }: Scenario, schedule: Schedule, begun: () => boolean) {
  const asks = [...applications.values()].some(
    (application) =>
      application.kind !== 'shipped' && [...application.commands.values()].flat().some(({ step }) => step === 'rpc'),
  );
  return (step: string): Promise<void> | undefined =>
    asks && schedule.fine && begun() ? schedule.point('supplicant', step) : undefined;
}
