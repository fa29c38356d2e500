/** The progress of a run. */
export interface FuzzProgress {
  /** Of all runs in the folder. */
  readonly executions: number;
  /** Of this run. */
  readonly executionsPerSecond: number;
  readonly corpus: number;
  readonly corpusBytes: number;
  readonly edges: number;
  readonly findings: number;
  readonly deaths: number;
  readonly seconds: number;
  readonly sinceNewEdgeSeconds: number;
  /** The share of new features that occurred again in the next execution, 0..1; undefined while there were none. */
  readonly stability: number | undefined;
}

/** The progress in one line. */
export function progressLine(progress: FuzzProgress): string {
  const { executions, executionsPerSecond, corpus, corpusBytes, edges, findings, deaths, stability } = progress;
  const rate =
    executionsPerSecond < 10 ? executionsPerSecond.toFixed(1) : Math.round(executionsPerSecond).toLocaleString('en');
  return [
    `#${executions.toLocaleString('en')}`,
    `${rate} execs/s`,
    `corpus ${corpus} (${(corpusBytes / 1024).toFixed(1)} KiB)`,
    `edges ${edges.toLocaleString('en')}`,
    `findings ${findings}`,
    `deaths ${deaths}`,
    ...(stability === undefined ? [] : [`stable ${Math.round(stability * 100)} %`]),
    `last new edge ${inWords(progress.sinceNewEdgeSeconds)} ago`,
    inWords(progress.seconds),
  ].join('  ');
}

function inWords(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
