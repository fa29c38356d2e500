import { TeeResult } from '../../../protocol/tee-result.js';
import { trustedApplication } from '../ta/trusted-application.js';
import type { Mutex } from '../threads/wait-queue.js';

/** Commands of the workload PTA. */
export const WorkloadCommand = {
  /** value[0] inout: returns a + b in a. */
  nothing: 0,
  /** value[0].a in: milliseconds to sleep in the normal world. */
  wait: 1,
  /** value[0].a in: milliseconds to compute in secure world. */
  compute: 2,
  /** value[0].a in: milliseconds to hold the one mutex of this PTA, asleep in the normal world. */
  holdMutex: 3,
} as const;

/** A pseudo-TA whose sessions execute concurrently: a load for experiments with threads. */
export const workloadPta = trustedApplication({
  uuid: 'c0c0c0c0-0003-4000-8000-000000000003',
  name: 'workload',
  kind: 'pseudo',
  concurrent: true,
  create() {
    let mutex: Mutex | undefined;
    return {
      invokeCommand(call) {
        const value = call.value(0);
        switch (call.command) {
          case WorkloadCommand.nothing:
            value.a += value.b;
            return TeeResult.SUCCESS;
          case WorkloadCommand.wait:
            return call.wait(value.a);
          case WorkloadCommand.compute:
            return call.compute(value.a);
          case WorkloadCommand.holdMutex: {
            mutex ??= call.createMutex();
            return call.locked(mutex, () => call.wait(value.a));
          }
          default:
            return TeeResult.ERROR_NOT_SUPPORTED;
        }
      },
    };
  },
});
