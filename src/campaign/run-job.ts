import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startInterval } from '../clock/timer.js';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { startModule } from '../processes/start-process.js';
import { type JobResult, resultShape } from './job-result.js';
import { type CampaignJob, corpusOf, jobId } from './plan.js';

const program = fileURLToPath(new URL('./job-process.js', import.meta.url));
/** Interval of exchanging corpora, in milliseconds. */
const exchangeMs = 1000;
const fileForm = /^[0-9a-f]{16}\.json$/;

/** The state that jobs share, wherever they run. */
export interface SharedState {
  /** Send an input of a corpus to the other jobs. */
  send(corpus: string, name: string, text: string): Promise<void>;
  /** Inputs that arrived since the last call. */
  receive(corpus: string): Promise<readonly { readonly name: string; readonly text: string }[]>;
  /** Files of known findings. */
  findings(): Promise<readonly string[]>;
  /** Whether this job must minimise a finding: true for the first job that asks, also when it runs again. */
  claim(what: string, job: string): Promise<boolean>;
}

export interface RunJobOptions {
  readonly signal?: AbortSignal | undefined;
  /** QEMU programs on this machine; jobs select one by version. */
  readonly qemus?: readonly string[] | undefined;
}

/**
 * Run a job in a process of its own.
 * @throws Error with the job's error, or how the process ended.
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
        // If the server is temporarily unreachable, try again at the next exchange.
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
    const child = startModule(program, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
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
        // If the server is unreachable, minimise the finding here: it is better to do it twice than not at all.
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

/** Exchanges inputs between the folder of a job and other jobs. */
class Exchange {
  private readonly known = new Set<string>();

  constructor(
    private readonly folder: string,
    private readonly corpus: string,
    private readonly shared: SharedState,
  ) {
    makeFolderSync(folder);
  }

  async now(): Promise<void> {
    for (const name of readdirSync(this.folder)) {
      if (!fileForm.test(name) || this.known.has(name)) continue;
      await this.shared.send(this.corpus, name, readRegularFileSync(join(this.folder, name)).toString());
      this.known.add(name);
    }
    for (const { name, text } of await this.shared.receive(this.corpus)) {
      // Names received from the server must match the form of our file names.
      if (!fileForm.test(name) || this.known.has(name)) continue;
      this.known.add(name);
      const path = join(this.folder, name);
      if (existsSync(path)) continue;
      writeWholeSync(path, text);
    }
  }
}
