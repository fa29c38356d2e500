import type { ThreadChange, ThreadUse } from '../run/thread-recorder.js';
import type { ScenarioResult } from '../scenario-result.js';

/** The results of a scenario as plain data for other programs. Times are in milliseconds. */
export function jsonReport({ title, seed, runs }: ScenarioResult): object {
  return {
    title,
    seed,
    runs: runs.map(({ explanation, threads, asleep: _, ...run }) => ({
      ...run,
      explanation: explanation.join('\n'),
      threads: threads.map((changes) => shares(changes, run.duration)),
    })),
  };
}

/** The fraction of a run's time that a thread context spent in each use, 0 to 1. */
function shares(changes: readonly ThreadChange[], duration: number): Readonly<Record<ThreadUse, number>> {
  const share: Record<ThreadUse, number> = { secure: 0, rpc: 0, free: 0 };
  changes.forEach(({ time, use }, index) => {
    if (duration > 0) share[use] += ((changes[index + 1]?.time ?? duration) - time) / duration;
  });
  // Rounded to the precision of a sum of times.
  const rounded = (value: number) => Math.round(value * 1e9) / 1e9;
  return { secure: rounded(share.secure), rpc: rounded(share.rpc), free: rounded(share.free) };
}
