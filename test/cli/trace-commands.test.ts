import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryRecorder } from '../../src/trace/index.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const scenario = resolve(import.meta.dirname, '../../scenarios/rpmb-scmi-deadlock.yaml');
const folder = mkdtempSync(join(tmpdir(), 'normalworld-cli-'));
const trace = join(folder, 'out.nwt');

const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 60_000 });

beforeAll(() => {
  const { status, stderr } = run('run', scenario, '--queue', 'linux-6.7', '--trace', trace);
  expect(status, stderr).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('normalworld trace', () => {
  it('prints statistics of a recorded run, as text and as JSON', () => {
    expect(run('trace', 'stats', trace).stdout).toMatch(
      /DEADLOCK[\s\S]*sleeps because no thread is free[\s\S]*ETHREAD_LIMIT 4[\s\S]*Waited for a thread:[\s\S]*STILL ASLEEP at the end/,
    );
    const stats = JSON.parse(run('trace', 'stats', trace, '--json').stdout);
    expect(stats).toMatchObject({ ethreadLimit: 4, threads: 3, subject: { queue: 'linux-6.7' } });
    expect(stats.subject.verdict.outcome).toBe('deadlock');
    expect(stats.deadlock[1]).toMatch(/^thread \d, storage \d #\d+: its RPMB_FRAMES RPC waits for scmi #/);
  });

  it('prints the same verdict and time as the run', () => {
    const said = run('run', scenario, '--queue', 'linux-6.7').stdout;
    const told = run('trace', 'stats', trace).stdout;
    const sentences = [...told.matchAll(/^ {2}(.*closed at.*|.*because no thread is free.*)$/gm)].map(
      ([, words]) => words,
    );
    expect(sentences).toHaveLength(2);
    for (const words of sentences) expect(said.replace(/\s+/g, ' ')).toContain(words);
    const [, closed] = /The cycle closed at ([\d.]+ ms)/.exec(said) ?? [];
    expect(told).toMatch(new RegExp(`^DEADLOCK since ${closed?.replace(' ms', '')}\\d* ms$`, 'm'));
    // Calls count from the same moment: that at which all sessions were open.
    const report = JSON.parse(run('run', scenario, '--queue', 'linux-6.7', '--json').stdout).runs[0];
    const longest = /Held a thread the longest:\n.*\n +(\d+) +([\d.]+) ms/.exec(told);
    expect(report.explanation).toContain(`call ${longest?.[1]} `);
    expect(Number(longest?.[2])).toBeLessThanOrEqual(report.hangsSince);
  });

  it('exports to both formats', () => {
    const out = join(folder, 'out.json');
    expect(run('trace', 'export', trace, '--format', 'chrome', '--out', out).status).toBe(0);
    expect(JSON.parse(readFileSync(out, 'utf8')).traceEvents.length).toBeGreaterThan(100);
    expect(run('trace', 'export', trace, '--out', join(folder, 'out.pftrace')).status).toBe(0);
    expect(readFileSync(join(folder, 'out.pftrace'))[0]).toBe(0x0a);
  });

  it("imports a board's text, and writes it as a trace", () => {
    const text = resolve(import.meta.dirname, '../trace/linux-hang.txt');
    const out = join(folder, 'board.nwt');
    expect(run('trace', 'import', text, '--out', out).stdout).toMatch(/storage-402.*RPC CMD/);
    expect(JSON.parse(run('trace', 'stats', out, '--json').stdout)).toMatchObject({ calls: 5, ethreadLimit: 2 });
  });

  it('refuses a file that is not a trace, with exit code 2 and the reason', () => {
    const bad = join(folder, 'bad.nwt');
    writeFileSync(bad, 'this is a text, and longer than a header is');
    for (const args of [
      ['trace', 'stats', bad],
      ['view', bad],
      ['top', bad, '--once'],
    ])
      expect(run(...args)).toMatchObject({ status: 2, stderr: expect.stringContaining('not a trace') });
    for (const command of [['trace', 'stats'], ['view'], ['top']])
      expect(run(...command, join(folder, 'absent.nwt'))).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/^ENOENT: .*absent\.nwt'\n$/),
      });
    expect(run('trace', 'import', scenario).status).toBe(2);
  });

  it('refuses a schedule without end', () => {
    const endless = join(folder, 'endless.json');
    symlinkSync('/dev/zero', endless);
    for (const command of ['view', 'replay'])
      expect(run(command, endless)).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/endless\.json: it has more than \d+ bytes\n$/),
      });
  });

  it('names the files of the disciplines if the file without a discipline is requested', () => {
    const asked = join(folder, 'several.nwt');
    const recorded = run('run', scenario, '--queue', 'linux-6.8', '--queue', 'hand-off', '--trace', asked);
    const [first, second] = ['linux-6.8', 'hand-off'].map((queue) => join(folder, `several.${queue}.nwt`));
    // In a clone the command is npx's, where it is installed its own.
    expect(recorded.stderr.replace('npx normalworld', 'normalworld')).toBe(
      `trace: ${first}\ntrace: ${second}\nview it: normalworld view ${first} ${second}\n`,
    );
    expect(run('trace', 'stats', asked).stderr).toContain(`; existing files: ${second}, ${first}`);
  });

  it('says where a truncated file ends, and reads the rest', () => {
    const torn = join(folder, 'torn.nwt');
    writeFileSync(torn, readFileSync(trace).subarray(0, -100));
    const { status, stderr } = run('trace', 'stats', torn);
    expect(status).toBe(0);
    expect(stderr).toMatch(/at byte \d+: the file ends in the middle of a chunk/);
  });
});

describe('normalworld top', () => {
  it('shows the state of each call', () => {
    expect(run('top', trace, '--once').stdout).toMatch(/threads \[###\] 3 of 3, asleep in the queue 4/);
    expect(JSON.parse(run('top', trace, '--once', '--json').stdout)).toMatchObject({ asleep: 4, inSecureWorld: 3 });
  });

  it('gives the same rate as the statistics of the trace', () => {
    const path = join(folder, 'rate.nwt');
    const recorder = new MemoryRecorder();
    recorder.describe({ clock: 'machine', threads: 1 });
    for (let call = 1; call <= 20; call++) {
      recorder.record(1, 1000 + call * 100, call, 1, 1, 3, 'client');
      if (call < 20) recorder.record(2, 1010 + call * 100, call, 0, 0, 0, '');
    }
    writeFileSync(path, recorder.toBytes());
    const { callsPerSecond, unfinished } = JSON.parse(run('trace', 'stats', path, '--json').stdout);
    expect(unfinished).toBe(1);
    expect(callsPerSecond).toBeCloseTo(10);
    expect(JSON.parse(run('top', path, '--once', '--json').stdout).callsPerSecond).toBe(10);
    expect(run('top', path, '--once').stdout).toContain('\n10 calls/s on average, ended 19,');
    expect(run('trace', 'stats', path).stdout).toContain('20 calls, 1 unfinished; 10 calls/s on average');
  });

  it('shows the time without new events, and how long calls have been in their states', () => {
    const path = join(folder, 'hung.nwt');
    const recorder = new MemoryRecorder();
    recorder.describe({ clock: 'machine', threads: 1 });
    recorder.record(1, 100, 1, 1, 1, 3, 'client');
    writeFileSync(path, recorder.toBytes());
    const then = new Date(Date.now() - 90_000);
    utimesSync(path, then, then);
    expect(run('top', path, '--once').stdout).toMatch(
      /^no new events for \d\d\.\d\d s: the program has ended[\s\S]*^ +1 +\d\d\.\d\d s +- +client: in secure world/m,
    );
    const { now, quietMs, calls, callsPerSecond, recentCallsPerSecond } = JSON.parse(
      run('top', path, '--once', '--json').stdout,
    );
    expect(quietMs).toBeGreaterThanOrEqual(90_000);
    expect(calls[0].forMs).toBeGreaterThanOrEqual(90_000);
    expect(now).toBeGreaterThanOrEqual(90_100);
    expect(callsPerSecond).toBe(0);
    expect(recentCallsPerSecond).toBeNull();
  });

  it.each(['0', '0.05', '3000000', 'x', 'Infinity'])('refuses the interval %s', (interval) => {
    expect(run('top', trace, '--interval', interval)).toMatchObject({
      status: 2,
      stderr: `error: --interval ${interval}: must be a number of seconds from 0.1 to 86400\n`,
    });
  });

  it('ends with 0 when it is interrupted', async () => {
    const child = spawn(process.execPath, [main, 'top', trace, '--interval', '0.1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((done) => child.on('exit', done));
    await new Promise((done) => child.stdout.once('data', done));
    child.kill('SIGINT');
    expect(await ended).toBe(0);
  });
});

describe('normalworld view', () => {
  it('serves the page on loopback until it is interrupted', async () => {
    const child: ChildProcess = spawn(process.execPath, [main, 'view', trace], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((done) => child.on('exit', done));
    const line = await new Promise<string>((done) => child.stdout?.once('data', (data) => done(String(data))));
    const url = /http:\/\/127\.0\.0\.1:\d+\/\w+\//.exec(line)?.[0] ?? '';
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('data-name="out.nwt"');
    expect((await fetch(`${url}etc/passwd`)).status).toBe(404);
    child.kill('SIGINT');
    expect(await ended).toBe(0);
  });
});
