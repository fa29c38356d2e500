import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JobResult, sumOf } from '../../src/campaign/job-result.js';
import { jobId, readPlan } from '../../src/campaign/plan.js';
import { CampaignServer } from '../../src/campaign/queue/campaign-server.js';

const command = resolve(import.meta.dirname, '../../dist/cli/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'normalworld-campaign-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const program = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0);

const plan = `name: drive
jobs:
  - { kind: fuzz, target: driver, seeds: 1..5, executions: 40 }
`;
const planFile = join(scratch, 'plan.yaml');
writeFileSync(planFile, plan);

const normalworld = (...args: string[]) =>
  spawnSync(process.execPath, [command, 'campaign', ...args], { encoding: 'utf8', timeout: 200_000 });

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('a plan', () => {
  it('runs on this machine without a server', { timeout: 120_000 }, () => {
    const { stdout } = normalworld('start', planFile, '--jobs', '2', '--json');
    const { jobs, executions, edges } = JSON.parse(stdout);
    expect(jobs).toBe(5);
    expect(executions).toBeGreaterThanOrEqual(5 * 40);
    expect(edges).toBeGreaterThan(20);
  });

  it.each<[string, string, RegExp]>([
    [
      'a target that there is none of',
      'name: a\njobs: [{ kind: fuzz, target: nothing, executions: 1 }]',
      /jobs\.0\.target/,
    ],
    ['a kind that there is none of', 'name: a\njobs: [{ kind: exec, command: ls }]', /jobs\.0/],
    ['no jobs', 'name: a\njobs: []', /jobs/],
    [
      'seeds that go backwards',
      'name: a\njobs: [{ kind: fuzz, target: driver, executions: 1, seeds: 5..1 }]',
      /jobs\.0\.seeds/,
    ],
    [
      'two mistakes',
      'name: a\njobs: [{ kind: fuzz, target: driver, executions: 1, seeds: [1, 2] }, { kind: fuzz, target: drivr, executions: 1 }]',
      /jobs\.0\.seeds: expected an integer such as 7, or a range such as 1\.\.20; jobs\.1\.target: /,
    ],
    ['a queue that there is none of', 'name: a\njobs: [{ kind: table, queues: [linux-2.4] }]', /jobs\.0\.queues\.0/],
    ['what is no YAML', 'name: [', /plan/],
    [
      'more jobs than there may be',
      `name: a\njobs: [${new Array(1000).fill('{ kind: fuzz, target: driver, executions: 1, seeds: 1..100000 }').join(', ')}]`,
      /: 200000 jobs or more, at most 100000$/,
    ],
    [
      'mistakes by the thousand',
      `name: a\njobs: [${new Array(1000).fill('1').join(', ')}]`,
      /jobs\.0: .*; 970 further mistakes$/,
    ],
  ])('with %s is refused, and the message names the place', async (_, text, says) => {
    const path = join(scratch, 'wrong-plan.yaml');
    writeFileSync(path, text);
    await expect(readPlan(path)).rejects.toThrow(says);
    await expect(readPlan(path)).rejects.toBeInstanceOf(RangeError);
  });

  it('explores scenarios by seeds, and minimises each counterexample once', { timeout: 240_000 }, () => {
    const path = join(scratch, 'explore.yaml');
    const scenario = resolve(import.meta.dirname, '../../scenarios/v6-permanent-hang.yaml');
    const job = `{ kind: explore, scenario: ${scenario}, queues: [patch-v6], strategy: priorities, runs: 3, seeds: 1..3 }`;
    writeFileSync(path, `name: explore\njobs: [${job}]`);
    const { stdout, status } = normalworld('start', path, '--jobs', '2', '--json');
    const { jobs, runs, breaches, failures } = JSON.parse(stdout);
    expect({ jobs, runs, failures }).toEqual({ jobs: 3, runs: 9, failures: [] });
    expect(breaches).toEqual([
      {
        property: 'finished',
        queue: 'patch-v6',
        how: expect.stringMatching(/^normalworld explore .* --seed [123] --decisions /),
      },
    ]);
    expect(status).toBe(1);
  });

  it('makes tables of queues, by configuration', { timeout: 240_000 }, async () => {
    const path = join(scratch, 'table.yaml');
    writeFileSync(path, 'name: table\njobs: [{ kind: table, queues: [linux-6.7, hand-off], groups: [cycle] }]');
    const { jobs } = await readPlan(path);
    expect(jobs.length).toBe(2 * 21);
    // Each is a process of its own: two are enough.
    const some = [jobs[0], jobs[21]].flatMap((job) => job ?? []);
    const { runHere } = await import('../../dist/campaign/local-campaign.js');
    const { results, failures } = await runHere({ name: 'table', jobs: some }, 2, () => undefined);
    expect(failures).toEqual([]);
    expect(sumOf(results as JobResult[])).toMatchObject({
      jobs: 2,
      states: expect.any(Number),
      table: [{ property: 'unboundedOvertaking', queue: 'linux-6.7', group: 'cycle', broken: 1 }],
    });
  });

  it('reports the error of a failed job, and runs the others', { timeout: 120_000 }, () => {
    const path = join(scratch, 'suite.yaml');
    const others = '{ kind: fuzz, target: driver, executions: 5 }';
    writeFileSync(path, `name: suite\njobs: [{ kind: suite, qemu: ['0.1'] }, ${others}]`);
    const { stdout } = normalworld('start', path, '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      jobs: 1,
      failures: [expect.stringMatching(/^no QEMU 0\.1 here.*campaign work --qemu PROGRAM names another$/)],
    });
  });

  it('counts a violation found by several jobs once, and a configuration by its group', () => {
    const breach = { property: 'finished', queue: 'patch-v6', how: 'a command' };
    const table = { kind: 'table', queue: 'linux-6.8', group: 'short', seconds: 1, bound: null } as const;
    expect(
      sumOf([
        { kind: 'explore', runs: 5, seconds: 1, breaches: [breach] },
        { kind: 'explore', runs: 6, seconds: 1, breaches: [breach] },
        { ...table, states: 10, broken: ['lostWakeUp'] },
        { ...table, states: 20, broken: ['lostWakeUp', 'dependencyDeadlock'] },
      ]),
    ).toMatchObject({
      ...{ jobs: 4, runs: 11, states: 30, breaches: [breach] },
      table: [
        { property: 'dependencyDeadlock', broken: 1 },
        { property: 'lostWakeUp', broken: 2 },
      ],
    });
  });

  it('identifies jobs by their content', async () => {
    const { jobs } = await readPlan(planFile);
    expect(new Set(jobs.map(jobId)).size).toBe(5);
  });
});

describe.skipIf(program === undefined)(
  program === undefined ? 'a campaign (skipped: no valkey-server or redis-server)' : 'a campaign',
  () => {
    let server: ChildProcess | undefined;
    let port = 0;
    const url = () => `redis://:secret@127.0.0.1:${port}`;

    const startServer = async () => {
      const options = [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--requirepass',
        'secret',
        '--appendonly',
        'yes',
        '--appendfsync',
        'always',
      ];
      server = spawn(program ?? '', [...options, '--dir', scratch], { stdio: 'ignore' });
      await using reached = new CampaignServer(url(), 'any');
      await reached.reach();
    };
    const stopServer = async () => {
      server?.kill();
      if (server !== undefined && server.exitCode === null) await once(server, 'close');
    };
    beforeAll(async () => {
      port = await freePort();
      await startServer();
    });
    afterAll(stopServer);

    const worker = () =>
      spawn(process.execPath, [command, 'campaign', 'work', '--redis', url(), '--name', 'drive', '--jobs', '1'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const status = async () => {
      await using of = new CampaignServer(url(), 'drive');
      return await of.status();
    };

    it('loses no job and counts none twice when a worker is killed and when the server restarts', {
      timeout: 240_000,
    }, async () => {
      expect(normalworld('start', planFile, '--redis', url()).stdout).toContain('drive: 5 jobs wait');
      // Put in again they are there once.
      expect(normalworld('start', planFile, '--redis', url()).stdout).toContain('drive: 5 jobs wait');
      const doomed = worker();
      const ended = once(doomed, 'close');
      // When it has done one it is at another.
      await once(doomed.stdout ?? doomed, 'data');
      doomed.kill('SIGKILL');
      await ended;
      const others = [worker(), worker()];
      const codes = await Promise.all(
        others.map((each) => {
          each.stdout?.resume();
          return once(each, 'close');
        }),
      );
      expect(codes).toEqual([
        [0, null],
        [0, null],
      ]);
      expect(await status()).toEqual({ waiting: 0, active: 0, completed: 5, failed: 0 });
      const before = JSON.parse(normalworld('results', '--redis', url(), '--name', 'drive', '--json').stdout);
      expect(before).toMatchObject({ jobs: 5, failures: [] });
      await stopServer();
      await startServer();
      expect(JSON.parse(normalworld('results', '--redis', url(), '--name', 'drive', '--json').stdout)).toEqual(before);
    });

    it('shares the corpus between jobs', { timeout: 60_000 }, async () => {
      const redis = new Redis(url());
      try {
        const entries = await redis.xlen('normalworld:campaign:drive:corpus:driver//');
        const names = await redis.scard('normalworld:campaign:drive:names:driver//');
        expect(entries).toBeGreaterThan(5);
        expect(entries).toBe(names);
      } finally {
        redis.disconnect();
      }
    });

    it('counts known findings as found, and minimises a finding in one job only', {
      timeout: 120_000,
    }, async () => {
      const redis = new Redis(url());
      try {
        await redis.hset('normalworld:campaign:explore:claims', 'breach v6.yaml patch-v6 finished', 'job-of-another');
        const scenario = readFileSync(resolve(import.meta.dirname, '../../scenarios/v6-permanent-hang.yaml'), 'utf8');
        writeFileSync(join(scratch, 'v6.yaml'), scenario);
        const job =
          '{ kind: explore, scenario: v6.yaml, queues: [patch-v6], strategy: priorities, runs: 3, seeds: 1..2 }';
        const path = join(scratch, 'explore.yaml');
        writeFileSync(path, `name: explore\njobs: [${job}]`);
        normalworld('start', path, '--redis', url());
        normalworld('work', '--redis', url(), '--name', 'explore', '--jobs', '1');
        const { stdout } = normalworld('results', '--redis', url(), '--name', 'explore', '--json');
        expect(JSON.parse(stdout)).toMatchObject({ jobs: 2, runs: 6, breaches: [], failures: [] });
      } finally {
        redis.disconnect();
      }
    });

    it('refuses a worker of another version, naming both', { timeout: 60_000 }, async () => {
      const redis = new Redis(url());
      try {
        await redis.set('normalworld:campaign:drive:version', JSON.stringify({ version: '99.0.0', images: {} }));
        const { stderr, status: code } = normalworld('work', '--redis', url(), '--name', 'drive');
        expect(stderr).toMatch(/the campaign uses normalworld 99\.0\.0, this is \d/);
        expect(code).toBe(1);
        await redis.set(
          'normalworld:campaign:drive:version',
          JSON.stringify({ version: '0.1.0', images: { '/no/such/tee.bin': 'ab'.repeat(32) } }),
        );
        expect(normalworld('work', '--redis', url(), '--name', 'drive').stderr).toMatch(
          /image "\/no\/such\/tee\.bin" has SHA-256 abab/,
        );
      } finally {
        redis.disconnect();
      }
    });

    it('fails without the right password, and does not print it', { timeout: 60_000 }, () => {
      const { stderr, status: code } = normalworld(
        'status',
        '--redis',
        `redis://:wrong@127.0.0.1:${port}`,
        '--name',
        'drive',
      );
      expect(stderr).toMatch(/WRONGPASS|NOAUTH|invalid/i);
      expect(stderr).not.toContain('wrong@');
      expect(code).toBe(1);
    });

    it('reports an address without a server', { timeout: 60_000 }, () => {
      expect(normalworld('status', '--redis', 'http://127.0.0.1', '--name', 'drive').stderr).toContain(
        'is not a redis:// or rediss:// URL',
      );
      expect(normalworld('status', '--name', 'drive').stderr).toContain('--redis URL and --name NAME of the campaign');
    });
  },
);
