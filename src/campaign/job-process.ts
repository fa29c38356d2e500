import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fuzzer } from '../fuzz/engine/fuzzer.js';
import { targetNamed } from '../fuzz/open-target.js';
import { jobImage } from './job-image.js';
import type { JobResult } from './job-result.js';
import { jobShape } from './plan.js';

/** A job, in a process of its own: what ends that, ends nothing else. It is told by a message, and answers with one. */
process.once('message', (message: { readonly job: unknown; readonly folder: string }) => {
  run(message)
    .then((result) => process.send?.({ result }))
    .catch((error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }))
    .finally(() => process.disconnect?.());
});

// Whoever wants the result is gone.
process.once('disconnect', () => process.exit());

async function run({ job: given, folder }: { readonly job: unknown; readonly folder: string }): Promise<JobResult> {
  const job = jobShape.parse(given);
  const { image, trustedApplications } = await jobImage(job);
  const target = targetNamed(job.target, job.uuid, { optee: { image, taFolders: [trustedApplications] } });
  const fuzzer = new Fuzzer(target, { folder, seed: job.seed, executions: job.executions });
  const { executions, seconds, edges, corpus, deaths } = await fuzzer.run();
  const findings = fuzzer.knownFindings.map((finding) => readFileSync(join(finding.folder, 'finding.json'), 'utf8'));
  return { executions, seconds, edges, corpus, deaths, findings };
}
