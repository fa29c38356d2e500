import { z } from 'zod';

/** What a job came to. */
export const resultShape = z.object({
  executions: z.number(),
  seconds: z.number(),
  edges: z.number(),
  corpus: z.number(),
  deaths: z.number(),
  /** The files of findings, whole. */
  findings: z.array(z.string()),
});
export type JobResult = z.infer<typeof resultShape>;

/** What a campaign came to. */
export interface CampaignSum {
  readonly jobs: number;
  readonly executions: number;
  readonly seconds: number;
  /** Of the job that met most. */
  readonly edges: number;
  readonly deaths: number;
}

export function sumOf(results: readonly JobResult[]): CampaignSum {
  const sum = (of: (result: JobResult) => number) => results.reduce((total, result) => total + of(result), 0);
  return {
    jobs: results.length,
    executions: sum(({ executions }) => executions),
    seconds: sum(({ seconds }) => seconds),
    edges: Math.max(0, ...results.map(({ edges }) => edges)),
    deaths: sum(({ deaths }) => deaths),
  };
}
