import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { normalworldProgram } from '../../src/cli/program.js';

const scenario = (name: string) => resolve(import.meta.dirname, `../../scenarios/${name}.yaml`);
const deadlock = scenario('rpmb-scmi-deadlock');
const small = scenario('small-for-faults');

let out: string[];
let err: string[];

beforeEach(() => {
  out = [];
  err = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void out.push(line));
  vi.spyOn(console, 'error').mockImplementation((line: string) => void err.push(line));
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** The exit code of `normalworld run` with these arguments. */
async function run(...args: string[]): Promise<number> {
  const program = await normalworldProgram();
  process.exitCode = undefined;
  try {
    await program.parseAsync(['run', ...args], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // As main.ts has it.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

describe('normalworld run', () => {
  it('reports each discipline, and compares them at the end', async () => {
    expect(await run(deadlock)).toBe(0);
    const text = out.join('\n');
    expect(text).toMatch(
      /\nlinux-6\.7 {2}DEADLOCK {2}closed at [\d.]+ ms\npatch-v6 {3}FINISHED {2}after [^\n]*\nlinux-6\.8 {2,3}FINISHED {2}after [^\n]*\nhand-off {3}FINISHED/,
    );
    expect(text).toMatch(/── linux-6\.7: DEADLOCK closed at [\d.]+ ms, ended at [\d.]+ ms\n/);
    expect(text).not.toContain('\x1b');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('prints one JSON object, the same for the same seed', async () => {
    const args = [deadlock, '--json', '--seed', '9', '--queue', 'hand-off', '--queue', 'linux-6.7', '-q', 'hand-off'];
    expect(await run(...args)).toBe(0);
    const first = out.join('\n');
    out = [];
    await run(...args);
    expect(out.join('\n')).toBe(first);
    const report = JSON.parse(first);
    expect(report).toMatchObject({
      seed: 9,
      runs: [
        { queue: 'hand-off', outcome: 'finished', clients: [{ name: 'storage', calls: 60 }, { name: 'scmi' }] },
        {
          queue: 'linux-6.7',
          outcome: 'deadlock',
          explanation: expect.stringContaining('its RPMB_FRAMES RPC: the eMMC needs'),
        },
      ],
    });
    for (const { p50, p99, max } of report.runs[0].clients) expect(0 < p50 && p50 <= p99 && p99 <= max).toBe(true);
  });

  it('fails if and only if an outcome is not as expected', async () => {
    expect(await run(deadlock, '--queue', 'hand-off', '--expect', 'finished')).toBe(0);
    expect(await run(deadlock, '--queue', 'linux-6.7', '--expect', 'deadlock')).toBe(0);
    expect(await run(deadlock, '--queue', 'hand-off', '--queue', 'linux-6.7', '--expect', 'finished')).toBe(1);
  });

  it.each([
    [['--queue', 'linux-5'], 'Allowed are linux-6.7, patch-v6, linux-6.8, hand-off, hand-off-a, hand-off-c.'],
    [['--kernel', '4.9'], 'Linux 4.9 has no driver for OP-TEE: 4.12 is the first with one.'],
    [['--kernel', 'six'], '"six" is not a kernel version'],
    [['--seeds', '5'], 'Allowed is a range of seeds, such as 1..500.'],
    [['--seeds', '9..3'], 'The smaller seed must come first.'],
    [['--seeds', '1..2', '--trace', 'x.nwt'], 'cannot be used with'],
    [['--set', 'threads'], 'Allowed is a name and a value, such as threads=4.'],
    [['--expect', 'linux-5=finished'], '"linux-5" is not a discipline'],
    [['--expect', 'finished,deadlock'], 'two outcomes for every discipline'],
    [['--queue', 'constructor'], 'Allowed are linux-6.7'],
    [['--seed', '-1'], 'Allowed is a whole number from 0 to 4294967295.'],
    [['--seed', '0x10'], 'Allowed is a whole number'],
    [['--seed', '4294967296'], 'Allowed is a whole number'],
    [
      ['--expect', 'success'],
      'Allowed choices are finished, deadlock, stuck, starved, cut-off; "success" is not one of them.',
    ],
    [['--sed', '1'], "unknown option '--sed'"],
  ])('refuses %j', async (args, message) => {
    expect(await run(deadlock, ...args)).toBe(2);
    expect(err.join('')).toContain(message);
    expect(out).toEqual([]);
  });

  it('runs the queue that a kernel has', async () => {
    for (const [kernel, queue] of [
      ['6.1', 'linux-6.7'],
      ['4.14.336', 'linux-6.7'],
      ['6.7.12-rt1', 'linux-6.7'],
      ['6.8', 'linux-6.8'],
      ['v6.12.8', 'linux-6.8'],
      ['7.0-rc1', 'linux-6.8'],
    ] as const) {
      out = [];
      expect(await run(small, '--kernel', kernel, '--json')).toBe(0);
      expect(JSON.parse(out.join('\n')).runs.map((each: { queue: string }) => each.queue)).toEqual([queue]);
    }
  });

  it('counts the outcomes of many seeds, and names the first seed of each', async () => {
    expect(await run(small, '--seeds', '1..20', '-q', 'linux-6.8', '-q', 'hand-off', '--json')).toBe(0);
    const { seeds, queues } = JSON.parse(out.join('\n'));
    expect(seeds).toBe(20);
    for (const { queue, outcomes } of queues) {
      const all = Object.entries(outcomes) as [string, { count: number; firstSeed: number | null }][];
      expect(all.reduce((sum, [, { count }]) => sum + count, 0)).toBe(20);
      for (const [outcome, { count, firstSeed }] of all) {
        expect(firstSeed === null).toBe(count === 0);
        if (firstSeed === null) continue;
        out = [];
        await run(small, '--seed', String(firstSeed), '-q', queue, '--json');
        expect(JSON.parse(out.join('\n')).runs[0].outcome).toBe(outcome);
      }
    }
    out = [];
    await run(small, '--seeds', '1..3', '-q', 'hand-off');
    expect(out.join('\n')).toMatch(/\nqueue {5}FINISHED\nhand-off {2}3 \(seed 1\)$/);
  });

  it('takes an expectation for each discipline, and writes JUnit', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-'));
    try {
      const report = join(folder, 'report.xml');
      const args = [deadlock, '-q', 'linux-6.7', '-q', 'hand-off', '--junit', report];
      expect(await run(...args, '--expect', 'linux-6.7=deadlock|stuck,hand-off=finished')).toBe(0);
      expect(readFileSync(report, 'utf8')).toContain('tests="2" failures="0"');
      expect(await run(...args, '--expect', 'linux-6.7=finished')).toBe(1);
      expect(err.join('\n')).toContain('linux-6.7: deadlock; expected finished');
      expect(readFileSync(report, 'utf8')).toMatch(
        /failures="1"[\s\S]*<failure message="linux-6\.7: deadlock; expected finished">Call \d+/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('takes an expectation for a kernel, and refuses one for a discipline that does not run', async () => {
    expect(await run(deadlock, '--kernel', '6.6', '--expect', '6.6.30-yocto=deadlock')).toBe(0);
    expect(await run(deadlock, '--kernel', '6.6', '--expect', '6.1=finished')).toBe(1);
    expect(await run(deadlock, '--kernel', '6.6', '--expect', 'linux-6.8=deadlock')).toBe(2);
    expect(err.join('\n')).toContain('--expect names linux-6.8, but only linux-6.7 will run');
  });

  it('uses the expectation of the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-'));
    const file = join(folder, 'expecting it.yaml');
    const text = (expectation: string) =>
      `title: t\nparameters: { threads: 2, time: 1ms }\nexpect: ${expectation}\nsecureWorld: { threads: '\${threads}' }\n` +
      'applications: { ta: { kind: user, commands: { go: [{ compute: "$' +
      '{time}" }] } } }\n' +
      'clients: { a: { application: ta, steps: [{ invoke: go }] } }\n';
    try {
      writeFileSync(file, text('finished'));
      expect(await run(file)).toBe(0);
      writeFileSync(file, text('{ linux-6.7: finished, hand-off: [deadlock, stuck] }'));
      expect(await run(file)).toBe(1);
      expect(err.join('\n')).toBe('hand-off: finished; expected deadlock or stuck');
      // What the command line says counts more.
      expect(await run(file, '--expect', 'finished')).toBe(0);
      out = [];
      expect(await run(file, '--expect', 'finished', '--set', 'threads=5', '--set', 'time=30ms', '--json')).toBe(0);
      const [first] = JSON.parse(out.join('\n')).runs;
      expect([first.threads.length, first.duration]).toEqual([5, 30]);
      err = [];
      expect(await run(file, '--set', 'treads=5')).toBe(2);
      expect(err.join('\n')).toContain('there is no parameter treads; parameters are threads, time');
      err = [];
      expect(await run(file, '--expect', 'finished', '-q', 'hand-off', '--trace', join(folder, 'a b.nwt'))).toBe(0);
      expect(err.join('\n')).toContain(`view '${join(folder, 'a b.nwt')}'`);
      expect(await run(file, '--expect', 'finished', '--trace', folder)).toBe(0);
      expect(readdirSync(folder)).toContain('hand-off.nwt');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("finds the package's scenarios by name, wherever it runs", async () => {
    expect(await run('small-for-faults', '-q', 'hand-off')).toBe(0);
    expect(out.join('\n')).toContain('hand-off: FINISHED');
    expect(await run('scenarios', '-q', 'hand-off')).toBe(2);
    expect(err.join('\n')).toMatch(/scenarios(.yaml)?(: there is no such file| is a folder)/);
  });

  it('requires a scenario', async () => {
    expect(await run()).toBe(2);
    expect(err.join('')).toContain("missing required argument 'scenario'");
  });

  it('says where a file is wrong, or that it does not exist', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-'));
    try {
      const file = join(folder, 'bad.yaml');
      writeFileSync(file, 'title: bad\nclients: {}\nseed: 3\n');
      expect(await run(file)).toBe(2);
      expect(err.join('\n')).toContain(`${file}:3:1: seed: no such field; a scenario has title, about,`);
      err = [];
      expect(await run(join(folder, 'none.yaml'))).toBe(2);
      expect(err.join('\n')).toMatch(/ENOENT.*the package has .*rpmb-scmi-deadlock/);
      err = [];
      expect(await run('rpmb-scmi-deadlok')).toBe(2);
      expect(err.join('\n')).toMatch(/ENOENT.*did you mean rpmb-scmi-deadlock\?$/);
      expect(out).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has a help with exit codes and examples', async () => {
    expect(await run('--help')).toBe(0);
    expect(out.join('')).toMatch(/Exit codes:\n {2}0 [\s\S]* {2}1 [\s\S]* {2}2 [\s\S]*Examples:\n/);
  });
});
