import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { startTimer } from '../../clock/timer.js';
import { parseFinding } from '../../fuzz/engine/finding-file.js';
import { type CampaignVersion, imageNames, versionHere, versionMistake } from '../job-image.js';
import { type JobResult, resultShape } from '../job-result.js';
import { type CampaignPlan, jobId, jobShape } from '../plan.js';
import { type RunJobOptions, runJob, type SharedState } from '../run-job.js';

/** Prefix of all our keys on the server. */
const prefix = 'normalworld';
/** A worker that does not renew its lock for this long counts as dead. Milliseconds. */
const lockMs = 10_000;
/** Interval of checking the locks of other workers, in milliseconds. */
const stalledMs = 3000;
/** A job that has lost this many workers is assumed to have killed them, and fails. */
const mostStalls = 20;
/** Number of attempts for a job that fails with an error. */
const attempts = 3;

/** Longest time to wait for the server's first answer, in milliseconds. */
const reachMs = 10_000;

const versionShape = z.object({ version: z.string(), images: z.record(z.string(), z.string()) });

export interface CampaignStatus {
  readonly waiting: number;
  readonly active: number;
  readonly completed: number;
  readonly failed: number;
}

/** A campaign on a Valkey or Redis server, with BullMQ. */
export class CampaignServer implements AsyncDisposable {
  private readonly redis: Redis;
  private readonly connections: Redis[] = [];
  /** The last connection error. */
  private trouble = 'no answer';

  /**
   * @param url `redis://` or, with TLS, `rediss://`, optionally with user and password.
   * @throws RangeError if the URL is invalid.
   */
  constructor(
    private readonly url: string,
    private readonly name: string,
  ) {
    if (!/^[a-z0-9][a-z0-9-]{0,40}$/.test(name)) throw new RangeError(`"${name}" is not a valid campaign name`);
    if (!/^rediss?:\/\/\S+$/.test(url)) throw new RangeError(`"${hidden(url)}" is not a redis:// or rediss:// URL`);
    this.redis = this.connect();
  }

  /** @throws Error if the server does not answer within ten seconds, or refuses the login. */
  async reach(): Promise<void> {
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = startTimer(reachMs, () =>
        reject(
          new Error(`the server ${hidden(this.url)} could not be reached within ${reachMs / 1000} s: ${this.trouble}`),
        ),
      );
    });
    try {
      await Promise.race([this.redis.ping(), late]);
    } catch (error) {
      throw new Error(`${hidden(this.url)}: ${(error as Error).message}`, { cause: error });
    } finally {
      cancel();
    }
  }

  /** Add a plan's jobs to the queue; existing jobs are kept. @throws Error if the campaign has another version. */
  async start({ jobs }: CampaignPlan): Promise<number> {
    const here = await versionHere(imageNames(jobs));
    const text = JSON.stringify(here);
    if ((await this.redis.setnx(this.key('version'), text)) === 0) await this.requireSame();
    const queue = this.queue();
    try {
      await queue.addBulk(
        jobs.map((job) => ({
          name: job.kind,
          data: job,
          opts: { jobId: jobId(job), attempts, removeOnComplete: false, removeOnFail: false },
        })),
      );
      return (await this.counts(queue)).waiting;
    } finally {
      await queue.close();
    }
  }

  /**
   * Process jobs until none is left or the signal aborts.
   * @throws Error naming the difference if this machine's version is not the campaign's.
   */
  async work(
    atOnce: number,
    signal: AbortSignal,
    onResult: (result: JobResult) => void,
    { qemus }: Pick<RunJobOptions, 'qemus'> = {},
  ): Promise<void> {
    await this.requireSame();
    const worker = new Worker(
      this.name,
      async (job: Job) => {
        // Accept only data of a known kind.
        const parsed = jobShape.safeParse(job.data);
        if (!parsed.success)
          throw new UnrecoverableError(
            `a kind of job that this version does not know: ${parsed.error.issues[0]?.message}`,
          );
        const result = await runJob(parsed.data, this.shared(), { signal, qemus });
        for (const finding of result.kind === 'fuzz' ? result.findings : [])
          await this.redis.hsetnx(this.key('findings'), parseFinding(finding).signature, finding);
        return result;
      },
      {
        ...{ connection: this.connect(), prefix, concurrency: atOnce, autorun: false },
        ...{ lockDuration: lockMs, stalledInterval: stalledMs, maxStalledCount: mostStalls },
      },
    );
    worker.on('completed', (_job, result: JobResult) => onResult(result));
    worker.on('error', () => undefined);
    const queue = this.queue();
    const running = worker.run();
    try {
      await this.untilEmpty(queue, signal);
    } finally {
      await worker.close(signal.aborted);
      await running.catch(() => undefined);
      await queue.close();
    }
  }

  async status(): Promise<CampaignStatus> {
    const queue = this.queue();
    try {
      return await this.counts(queue);
    } finally {
      await queue.close();
    }
  }

  /** The results of all completed jobs, each job and each finding once. */
  async results(): Promise<{
    readonly results: readonly JobResult[];
    readonly findings: readonly string[];
    readonly failures: readonly string[];
  }> {
    const queue = this.queue();
    try {
      const [done, failed] = await Promise.all([queue.getJobs(['completed']), queue.getJobs(['failed'])]);
      const results = done.flatMap((job) => {
        const parsed = resultShape.safeParse(job?.returnvalue);
        return parsed.success ? [parsed.data] : [];
      });
      const findings = Object.values(await this.redis.hgetall(this.key('findings')));
      return { results, findings, failures: failed.map((job) => job?.failedReason ?? 'failed') };
    } finally {
      await queue.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.connections) each.disconnect();
  }

  /** BullMQ does not close connections that it was given. */
  private connect(): Redis {
    const redis = new Redis(this.url, { maxRetriesPerRequest: null });
    redis.on('error', (error: Error) => {
      this.trouble = error.message;
    });
    this.connections.push(redis);
    return redis;
  }

  private async requireSame(): Promise<void> {
    const text = await this.redis.get(this.key('version'));
    if (text === null)
      throw new Error(`there is no campaign "${this.name}" on the server; start it with: normalworld campaign start`);
    const wanted: CampaignVersion = versionShape.parse(JSON.parse(text));
    const mistake = versionMistake(wanted, await versionHere(Object.keys(wanted.images)));
    if (mistake !== undefined) throw new Error(mistake);
  }

  private queue(): Queue {
    const queue = new Queue(this.name, { connection: this.connect(), prefix });
    // The client reconnects by itself; requests report the error.
    queue.on('error', () => undefined);
    return queue;
  }

  private async counts(queue: Queue): Promise<CampaignStatus> {
    const {
      waiting = 0,
      active = 0,
      completed = 0,
      failed = 0,
      delayed = 0,
    } = await queue.getJobCounts(...(['waiting', 'active', 'completed', 'failed', 'delayed'] as const));
    return { waiting: waiting + delayed, active, completed, failed };
  }

  /** Wait until no job is waiting or active: until then, a job of another worker may return to the queue. */
  private async untilEmpty(queue: Queue, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { waiting, active } = await this.counts(queue);
      if (waiting + active === 0) return;
      await new Promise<void>((resolve) => startTimer(500, resolve));
    }
  }

  private shared(): SharedState {
    let last = '0';
    return {
      send: async (corpus, name, text) => {
        if ((await this.redis.sadd(this.key(`names:${corpus}`), name)) === 1)
          await this.redis.xadd(this.key(`corpus:${corpus}`), '*', 'name', name, 'text', text);
      },
      receive: async (corpus) => {
        const entries = await this.redis.xrange(this.key(`corpus:${corpus}`), last === '0' ? '-' : `(${last}`, '+');
        last = entries.at(-1)?.[0] ?? last;
        return entries.map(([, [, name = '', , text = '']]) => ({ name, text }));
      },
      findings: async () => Object.values(await this.redis.hgetall(this.key('findings'))),
      claim: async (what, job) => {
        await this.redis.hsetnx(this.key('claims'), what, job);
        return (await this.redis.hget(this.key('claims'), what)) === job;
      },
    };
  }

  private key(what: string): string {
    return `${prefix}:campaign:${this.name}:${what}`;
  }
}

/** The URL without its password. */
function hidden(url: string): string {
  return url.replace(/:[^:@/]*@/, ':***@');
}
