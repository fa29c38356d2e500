import { parseFinding } from '../fuzz/engine/finding-file.js';
import type { JobResult } from './job-result.js';
import type { CampaignPlan } from './plan.js';
import { type RunJobOptions, runJob, type SharedState } from './run-job.js';

/** Run a plan without a server, on this machine's processors. */
export async function runHere(
  { jobs }: CampaignPlan,
  atOnce: number,
  onResult: (result: JobResult, done: number) => void,
  options: RunJobOptions = {},
): Promise<{ readonly results: readonly JobResult[]; readonly failures: readonly string[] }> {
  const results: JobResult[] = [];
  const failures: string[] = [];
  const left = [...jobs];
  const shared = new StateHere();
  const worker = async () => {
    for (let job = left.shift(); job !== undefined && !options.signal?.aborted; job = left.shift()) {
      let result: JobResult;
      try {
        result = await runJob(job, shared, options);
      } catch (error) {
        // Continue with the other jobs.
        failures.push(error instanceof Error ? error.message : String(error));
        continue;
      }
      if (result.kind === 'fuzz') shared.found(result.findings);
      results.push(result);
      onResult(result, results.length);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return { results, failures };
}

class StateHere implements SharedState {
  private readonly corpora = new Map<string, Map<string, string>>();
  private readonly bySignature = new Map<string, string>();
  private readonly claims = new Map<string, string>();

  found(findings: readonly string[]): void {
    for (const text of findings) this.bySignature.set(parseFinding(text).signature, text);
  }

  async send(corpus: string, name: string, text: string): Promise<void> {
    const inputs = this.corpora.get(corpus) ?? new Map<string, string>();
    this.corpora.set(corpus, inputs);
    inputs.set(name, text);
  }

  async receive(corpus: string): Promise<readonly { readonly name: string; readonly text: string }[]> {
    return [...(this.corpora.get(corpus) ?? [])].map(([name, text]) => ({ name, text }));
  }

  async findings(): Promise<readonly string[]> {
    return [...this.bySignature.values()];
  }

  async claim(what: string, job: string): Promise<boolean> {
    if (!this.claims.has(what)) this.claims.set(what, job);
    return this.claims.get(what) === job;
  }
}
