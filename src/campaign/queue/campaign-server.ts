import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { startTimer } from '../../clock/timer.js';
import { parseFinding } from '../../fuzz/engine/finding-file.js';
import { type CampaignVersion, imageNames, versionHere, versionMistake } from '../job-image.js';
import { type JobResult, resultShape } from '../job-result.js';
import { type CampaignPlan, jobId, jobShape } from '../plan.js';
import { type RunJobOptions, runJob, type SharedState } from '../run-job.js';

/** Everything of ours in the server begins with it. */
const prefix = 'normalworld';
/** A worker that does not renew its lock for so long is taken for dead, in milliseconds. */
const lockMs = 10_000;
/** How often others' locks are looked at, in milliseconds. */
const stalledMs = 3000;
/** A job may lose so many workers before it is taken for what killed them. */
const mostStalls = 20;
/** Of a job that fails by itself. */
const attempts = 3;

/** How long the server may take to answer at first, in milliseconds. */
const reachMs = 10_000;

const versionShape = z.object({ version: z.string(), images: z.record(z.string(), z.string()) });

export interface CampaignStatus {
  readonly waiting: number;
  readonly active: number;
  readonly completed: number;
  readonly failed: number;
}

/** A campaign on a server: Valkey or Redis, by BullMQ. */
export class CampaignServer implements AsyncDisposable {
  private readonly redis: Redis;
  private readonly connections: Redis[] = [];
  /** What it said last. */
  private trouble = 'no answer';

  /**
   * @param url `redis://` or, with TLS, `rediss://`, with user and password when there are any.
   * @throws RangeError for what is no such URL.
   */
  constructor(
    private readonly url: string,
    private readonly name: string,
  ) {
    if (!/^[a-z0-9][a-z0-9-]{0,40}$/.test(name)) throw new RangeError(`"${name}" is not a valid campaign name`);
    if (!/^rediss?:\/\/\S+$/.test(url)) throw new RangeError(`"${hidden(url)}" is not a redis:// or rediss:// URL`);
    this.redis = this.connect();
  }

  /** @throws Error when the server is not reached within ten seconds, or does not let us in. */
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

  /** Put a plan's jobs into the queue; those that are there stay. @throws Error when the campaign is of another version. */
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
   * Take jobs until there are none left, or the signal says so.
   * @throws Error naming the version when this machine is not of the campaign's.
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
        // Data of a kind that is known, and nothing else, is acted upon.
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

  /** Of every job that is done, each counted once; and each finding once. */
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

  /** BullMQ leaves open what it was given. */
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
    // It connects again by itself; who asks it for something is told.
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

  /** Nothing waits, and nobody works: until then another's job may come back. */
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

/** Without its password. */
function hidden(url: string): string {
  return url.replace(/:[^:@/]*@/, ':***@');
}
