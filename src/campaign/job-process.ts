import type { JobResult } from './job-result.js';
import { runExploreJob } from './jobs/explore-job.js';
import { type Claims, runFuzzJob } from './jobs/fuzz-job.js';
import { runSuiteJob } from './jobs/suite-job.js';
import { runTableJob } from './jobs/table-job.js';
import { jobShape } from './plan.js';

/** The worker's message to the process of a job. */
export interface JobMessage {
  readonly job: unknown;
  readonly folder: string;
  /** Files of known findings. */
  readonly known: readonly string[];
  /** QEMU programs on this machine. */
  readonly qemus: readonly string[];
}

/** Functions that resolve pending claims, by number. */
const answers = new Map<number, (granted: boolean) => void>();
let asked = 0;

const claims: Claims = {
  claim: (what) =>
    new Promise((resolve) => {
      answers.set(++asked, resolve);
      process.send?.({ claim: what, number: asked });
    }),
};

/**
 * Runs a job in a process of its own, so that a crash affects nothing else. The worker sends the job in a message; the
 * result is sent back in a message.
 */
process.on('message', (message: JobMessage | { readonly number: number; readonly granted: boolean }) => {
  if ('granted' in message) {
    answers.get(message.number)?.(message.granted);
    answers.delete(message.number);
    return;
  }
  run(message)
    .then((result) => process.send?.({ result }))
    .catch((error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }))
    .finally(() => process.disconnect?.());
});

// The worker has ended, so the result is no longer needed.
process.once('disconnect', () => process.exit());

function run({ job: given, folder, known, qemus }: JobMessage): Promise<JobResult> {
  const job = jobShape.parse(given);
  switch (job.kind) {
    case 'fuzz':
      return runFuzzJob(job, folder, known, claims);
    case 'explore':
      return runExploreJob(job, claims);
    case 'table':
      return runTableJob(job);
    case 'suite':
      return runSuiteJob(job, folder, qemus);
    default:
      return job satisfies never;
  }
}
