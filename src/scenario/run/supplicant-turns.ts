import type { Schedule } from '../../clock/schedule.js';
import type { Scenario } from '../scenario.js';

/**
 * Lets others ask, or go, before the supplicant takes a request, where the finer points are wanted and applications of the
 * file ask it for something.
 * @param begun whether the run proper has begun; before it nothing is explored.
 */
export function supplicantTurns({ applications }: Scenario, schedule: Schedule, begun: () => boolean) {
  const asks = [...applications.values()].some(
    (application) =>
      application.kind !== 'shipped' && [...application.commands.values()].flat().some(({ step }) => step === 'rpc'),
  );
  return (step: string): Promise<void> | undefined =>
    asks && schedule.fine && begun() ? schedule.point('supplicant', step) : undefined;
}
