import { fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startInterval } from '../clock/timer.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { type JobResult, resultShape } from './job-result.js';
import { type CampaignJob, corpusOf, jobId } from './plan.js';

const program = fileURLToPath(new URL('./job-process.js', import.meta.url));
/** How often corpora are exchanged, in milliseconds. */
const exchangeMs = 1000;
const fileForm = /^[0-9a-f]{16}\.json$/;

/** What jobs have in common, wherever they run. */
export interface SharedState {
  /** Give an input of a corpus to the others. */
  send(corpus: string, name: string, text: string): Promise<void>;
  /** Those that came since the last time. */
  receive(corpus: string): Promise<readonly { readonly name: string; readonly text: string }[]>;
  /** Files of findings that are known. */
  findings(): Promise<readonly string[]>;
  /** Whether this job is the one that makes something short: the first that asks, and again when it is done anew. */
  claim(what: string, job: string): Promise<boolean>;
}

export interface RunJobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Programs of QEMU's on this machine, which jobs name by their version. */
  readonly qemus?: readonly string[] | undefined;
}

/**
 * Do a job in a process of its own.
 * @throws Error with what it failed with, or how the process ended.
 */
export async function runJob(job: CampaignJob, shared: SharedState, options: RunJobOptions = {}): Promise<JobResult> {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-job-'));
  try {
    if (job.kind !== 'fuzz') return await inProcess(job, folder, [], shared, options);
    const exchange = new Exchange(join(folder, 'corpus'), corpusOf(job), shared);
    await exchange.now();
    let exchanging: Promise<void> | undefined;
    const stop = startInterval(exchangeMs, () => {
      exchanging ??= exchange
        .now()
        // The server is away for a while: the next time.
        .catch(() => undefined)
        .finally(() => {
          exchanging = undefined;
        });
    });
    try {
      return await inProcess(job, folder, await shared.findings(), shared, options);
    } finally {
      stop();
      await exchanging;
      await exchange.now().catch(() => undefined);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function inProcess(
  job: CampaignJob,
  folder: string,
  known: readonly string[],
  shared: SharedState,
  { signal, qemus = [] }: RunJobOptions,
): Promise<JobResult> {
  return new Promise((resolve, reject) => {
    const child = fork(program, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const end = () => child.kill('SIGKILL');
    signal?.addEventListener('abort', end, { once: true });
    let answer: { readonly result?: unknown; readonly error?: string } | undefined;
    child.on('message', (message) => {
      const { claim, number } = message as { readonly claim?: unknown; readonly number?: unknown };
      if (typeof claim !== 'string') {
        answer = message as typeof answer;
        return;
      }
      shared
        .claim(claim, jobId(job))
        // Without the server nobody knows: better twice than never.
        .catch(() => true)
        .then((granted) => child.connected && child.send({ number, granted }));
    });
    child.once('error', reject);
    child.once('close', (code, killedBy) => {
      signal?.removeEventListener('abort', end);
      const parsed = resultShape.safeParse(answer?.result);
      if (parsed.success) resolve(parsed.data);
      else reject(new Error(answer?.error ?? `the job's process ended with ${killedBy ?? `code ${code}`}`));
    });
    child.send({ job, folder, known, qemus });
  });
}

/** Between the folder of one job and the others. */
class Exchange {
  private readonly known = new Set<string>();

  constructor(
    private readonly folder: string,
    private readonly corpus: string,
    private readonly shared: SharedState,
  ) {
    mkdirSync(folder, { recursive: true });
  }

  async now(): Promise<void> {
    for (const name of readdirSync(this.folder)) {
      if (!fileForm.test(name) || this.known.has(name)) continue;
      await this.shared.send(this.corpus, name, readRegularFileSync(join(this.folder, name)).toString());
      this.known.add(name);
    }
    for (const { name, text } of await this.shared.receive(this.corpus)) {
      // A name that came over the wire is none of ours until it looks like one.
      if (!fileForm.test(name) || this.known.has(name)) continue;
      this.known.add(name);
      const path = join(this.folder, name);
      if (existsSync(path)) continue;
      writeFileSync(`${path}.tmp`, text);
      renameSync(`${path}.tmp`, path);
    }
  }
}
