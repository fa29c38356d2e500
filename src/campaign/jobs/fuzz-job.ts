import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderSync } from '../../files/make-folder.js';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { writeWholeSync } from '../../files/write-whole.js';
import { Fuzzer } from '../../fuzz/engine/fuzzer.js';
import { targetNamed } from '../../fuzz/open-target.js';
import { jobImage } from '../job-image.js';
import type { ResultOf } from '../job-result.js';
import type { JobOf } from '../plan.js';

/** Decisions that need the state of all jobs. */
export interface Claims {
  /** Whether this job must minimise the finding; at most one job gets true. */
  claim(what: string): Promise<boolean>;
}

/** @param known files of findings of other jobs, which count as found. */
export async function runFuzzJob(
  job: JobOf<'fuzz'>,
  folder: string,
  known: readonly string[],
  { claim }: Claims,
): Promise<ResultOf<'fuzz'>> {
  const { image, trustedApplications } = await jobImage(job);
  for (const [index, text] of known.entries()) {
    const place = join(folder, 'findings', `known-${index}`);
    makeFolderSync(place);
    writeWholeSync(join(place, 'finding.json'), text);
  }
  const target = targetNamed(job.target, job.uuid, { optee: { image, taFolders: [trustedApplications] } });
  const { seed, executions: most } = job;
  const fuzzer = new Fuzzer(target, {
    ...{ folder, seed, executions: most },
    claim: (signature) => claim(`finding ${job.target} ${job.uuid ?? ''} ${signature}`),
  });
  const { executions, seconds, edges, corpus, deaths } = await fuzzer.run();
  // Findings that another job claimed have no file here.
  const findings = fuzzer.knownFindings
    .map((finding) => join(finding.folder, 'finding.json'))
    .filter((file) => existsSync(file))
    .map((file) => readRegularFileSync(file).toString());
  return { kind: 'fuzz', executions, seconds, edges, corpus, deaths, findings };
}
