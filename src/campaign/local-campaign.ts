import type { JobResult } from './job-result.js';
import type { CampaignPlan } from './plan.js';
import { runJob, type SharedCorpus } from './run-job.js';

/** The same plan without a server: on this machine's processors. */
export async function runHere(
  { jobs }: CampaignPlan,
  atOnce: number,
  onResult: (result: JobResult, done: number) => void,
  signal?: AbortSignal,
): Promise<readonly JobResult[]> {
  const results: JobResult[] = [];
  const left = [...jobs];
  const corpora = new Map<string, Map<string, string>>();
  const worker = async () => {
    const shared = new MemoryCorpus(corpora);
    for (let job = left.shift(); job !== undefined && !signal?.aborted; job = left.shift()) {
      const result = await runJob(job, shared, signal);
      results.push(result);
      onResult(result, results.length);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

class MemoryCorpus implements SharedCorpus {
  constructor(private readonly corpora: Map<string, Map<string, string>>) {}

  async send(corpus: string, name: string, text: string): Promise<void> {
    const inputs = this.corpora.get(corpus) ?? new Map<string, string>();
    this.corpora.set(corpus, inputs);
    inputs.set(name, text);
  }

  async receive(corpus: string): Promise<readonly { readonly name: string; readonly text: string }[]> {
    return [...(this.corpora.get(corpus) ?? [])].map(([name, text]) => ({ name, text }));
  }
}
