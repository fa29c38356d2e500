import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { normalworldProgram } from '../../src/cli/program.js';

const scenario = (name: string) => resolve(import.meta.dirname, `../../scenarios/${name}.yaml`);
const deadlock = scenario('rpmb-scmi-deadlock');

class Exit extends Error {
  constructor(readonly code: number) {
    super(`exit ${code}`);
  }
}

let out: string[];
let err: string[];

beforeEach(() => {
  out = [];
  err = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void out.push(line));
  vi.spyOn(console, 'error').mockImplementation((line: string) => void err.push(line));
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Exit(Number(code ?? 0));
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** The exit code of `normalworld run` with these arguments. */
async function run(...args: string[]): Promise<number> {
  const program = normalworldProgram();
  process.exitCode = undefined;
  try {
    await program.parseAsync(['run', ...args], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof Exit) return error.code;
    throw error;
  }
}

describe('normalworld run', () => {
  it('reports each discipline, and compares them at the end', async () => {
    expect(await run(deadlock)).toBe(0);
    const text = out.join('\n');
    expect(text).toMatch(/── linux-6\.7: DEADLOCK at [\d.]+ ms\n/);
    expect(text).toMatch(/linux-6\.7 deadlock · patch-v6 finished · linux-6\.8 finished · hand-off finished$/);
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

  it('fails when an outcome is not the expected one, and only then', async () => {
    expect(await run(deadlock, '--queue', 'hand-off', '--expect', 'finished')).toBe(0);
    expect(await run(deadlock, '--queue', 'linux-6.7', '--expect', 'deadlock')).toBe(0);
    expect(await run(deadlock, '--queue', 'hand-off', '--queue', 'linux-6.7', '--expect', 'finished')).toBe(1);
  });

  it.each([
    [['--queue', 'linux-5'], 'There are linux-6.7, patch-v6, linux-6.8, hand-off, hand-off-a, hand-off-c.'],
    [['--queue', 'constructor'], 'There are linux-6.7'],
    [['--seed', '-1'], 'It is a whole number from 0 to 4294967295.'],
    [['--seed', '0x10'], 'It is a whole number'],
    [['--seed', '4294967296'], 'It is a whole number'],
    [['--expect', 'success'], 'Allowed choices are finished, deadlock, starved.'],
    [['--sed', '1'], "unknown option '--sed'"],
  ])('refuses %j', async (args, message) => {
    expect(await run(deadlock, ...args)).toBe(2);
    expect(err.join('')).toContain(message);
    expect(out).toEqual([]);
  });

  it('wants a scenario', async () => {
    expect(await run()).toBe(2);
    expect(err.join('')).toContain("missing required argument 'scenario'");
  });

  it('says where a file is wrong, or that there is none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-'));
    try {
      const file = join(folder, 'bad.yaml');
      writeFileSync(file, 'title: bad\nclients: {}\nseed: 3\n');
      expect(await run(file)).toBe(2);
      expect(err.join('\n')).toContain(`${file}:3:1: seed: no such field; a scenario has title, about,`);
      err = [];
      expect(await run(join(folder, 'none.yaml'))).toBe(2);
      expect(err.join('\n')).toContain('ENOENT');
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
