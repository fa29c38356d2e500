import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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
  spawnSync(process.execPath, [command, 'campaign', ...args], { encoding: 'utf8', timeout: 60_000 });

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
      /jobs\.0\.seeds: wanted is an integer such as 7, or two as 1\.\.20; jobs\.1\.target: /,
    ],
    ['what is no YAML', 'name: [', /plan/],
  ])('with %s is refused, and the place named', async (_, text, says) => {
    const path = join(scratch, 'wrong-plan.yaml');
    writeFileSync(path, text);
    await expect(readPlan(path)).rejects.toThrow(says);
    await expect(readPlan(path)).rejects.toBeInstanceOf(RangeError);
  });

  it('has jobs that are told apart by what is in them', async () => {
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

    it('loses no job and counts none twice, when a worker is killed and when the server is started anew', {
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

    it('lets what one keeps be there for the others', { timeout: 60_000 }, async () => {
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

    it('refuses a worker of another version, naming both', { timeout: 60_000 }, async () => {
      const redis = new Redis(url());
      try {
        await redis.set('normalworld:campaign:drive:version', JSON.stringify({ version: '99.0.0', images: {} }));
        const { stderr, status: code } = normalworld('work', '--redis', url(), '--name', 'drive');
        expect(stderr).toMatch(/the campaign is of normalworld 99\.0\.0, this is \d/);
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

    it('does not let in who has not the password, and does not show it', { timeout: 60_000 }, () => {
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

    it('refuses what is no server', { timeout: 60_000 }, () => {
      expect(normalworld('status', '--redis', 'http://127.0.0.1', '--name', 'drive').stderr).toContain(
        'is no redis:// or rediss:// URL',
      );
      expect(normalworld('status', '--name', 'drive').stderr).toContain(
        '--redis URL and --name NAME say which campaign',
      );
    });
  },
);
