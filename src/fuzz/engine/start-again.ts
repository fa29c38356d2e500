import type { Target } from './target.js';

/** How often an instance is started until it starts. */
const mostTries = 3;

/**
 * A target of which an instance that does not start is started again, if another one started before: on a machine with
 * much to do, one boot that takes too long must not end a run of hours. What never started has a mistake, and fails at
 * once.
 */
export function startingAgain(target: Target): Target {
  let hasStarted = false;
  return {
    ...target,
    async open() {
      for (let tries = 1; ; tries++) {
        try {
          const harness = await target.open();
          hasStarted = true;
          return harness;
        } catch (error) {
          if (!hasStarted || tries === mostTries) throw error;
        }
      }
    },
  };
}
