import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addConformCommand } from '../../src/cli/explore/conform.js';
import { replayTrace } from '../../src/conform/replay-trace.js';
import { parseTraceFile } from '../../src/conform/trace-file.js';

const TRACES = fileURLToPath(new URL('./traces/', import.meta.url));
const FILES = readdirSync(TRACES);
/** A trace of Linux 6.8 with system sessions, RPCs and sleepers. */
const SAMPLE = readFileSync(join(TRACES, 'upstream-corner_000.json'), 'utf8');

/** The sample with one place in it changed. */
function changed(path: readonly (string | number)[], value: unknown): string {
  const trace = JSON.parse(SAMPLE);
  const last = path[path.length - 1];
  let place = trace;
  for (const key of path.slice(0, -1)) place = place[key];
  place[last as string] = value;
  return JSON.stringify(trace);
}

describe('replaying a trace', () => {
  it.each(FILES)('%s conforms', (file) => {
    expect(replayTrace(parseTraceFile(readFileSync(join(TRACES, file), 'utf8')))).toBeUndefined();
  });

  it.each([
    [['initial', 'free_thread_count'], 1, { at: 'initial', field: 'state.free_thread_count', expected: 1, actual: 2 }],
    [['steps', 3, 'op'], 'recheck', { at: 3, field: 'op', expected: 'recheck' }],
    [['steps', 5, 'actor'], 9, { at: 5, field: 'actor', expected: 9 }],
    [['steps', 1, 'result', 'need_wait'], 1, { at: 1, field: 'result.need_wait', expected: 1, actual: 0 }],
    [['steps', 0, 'args', 'session'], 2, { at: 0, field: 'args.session', expected: 2 }],
    [['steps', 2, 'state', 'secure_free'], 7, { at: 2, field: 'state.secure_free', expected: 7 }],
    [['steps', 1, 'state', 'waiters', 0, 1], 1, { at: 1, field: 'state.waiters[0][1]', expected: 1, actual: 0 }],
    [['steps', 1, 'state', 'waiters', 1], [2, 0, 0], { at: 1, field: 'state.waiters[1]', actual: undefined }],
    [['steps', 4, 'state', 'actors', 0], 'recheck', { at: 4, field: 'state.actors[0]', expected: 'recheck' }],
    [['steps', 2, 'state', 'free_normal_thread_count'], 1, { at: 2, field: 'state.free_normal_thread_count' }],
    [['final', 'asleep'], 0, { at: 'final', field: 'final.asleep', expected: 0, actual: 2 }],
    [['variant'], 'v6', { at: 'initial' }],
  ])('says where a trace with a changed %j differs', (path, value, difference) => {
    expect(replayTrace(parseTraceFile(changed(path, value)))).toMatchObject(difference);
  });
});

describe('reading a trace file', () => {
  it.each([
    ['{"format":', 'not JSON'],
    ['[]', 'file: Invalid input: expected object'],
    [changed(['format'], 'optee-cq-trace/2'), 'format: Invalid input: expected "optee-cq-trace/1"'],
    [changed(['variant'], 'v7'), 'variant: expected one of linux-6.7 (in the format: prepatch)'],
    [changed(['config', 'callers', 0, 0, 'session'], 3), 'config.callers[0][0].session: Too big'],
    [changed(['config', 'callers', 0, 0, 'needs'], 8), 'config.callers[0][0].needs: there is no caller 8'],
    [changed(['config', 'secure_threads'], -1), 'config.secure_threads: Too small'],
    [changed(['steps', 0, 'state'], null), 'steps[0].state: Invalid input'],
  ])('refuses %.40s and names the field', (text, message) => {
    expect(() => parseTraceFile(text)).toThrow(message);
  });
});

describe('normalworld conform', () => {
  let folder: string;
  let output: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'conform-'));
    output = [];
    vi.spyOn(console, 'log').mockImplementation((line: string) => void output.push(line));
    vi.spyOn(console, 'error').mockImplementation((line: string) => void output.push(line));
    process.exitCode = undefined;
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
    vi.restoreAllMocks();
    process.exitCode = undefined;
  });

  async function conform(...args: string[]): Promise<{ output: string; exitCode: unknown }> {
    const program = new Command();
    addConformCommand(program);
    await program.parseAsync(['conform', ...args], { from: 'user' });
    return { output: output.join('\n'), exitCode: process.exitCode };
  }

  it('replays a directory of traces and sums up', async () => {
    const { output, exitCode } = await conform('--quiet', TRACES);
    expect(output).toBe(`${FILES.length} conform, 0 differ, 0 unreadable`);
    expect(exitCode).toBeUndefined();
  });

  it('continues after a file that differs or cannot be read, and fails at the end', async () => {
    const corrupted = join(folder, 'corrupted.json');
    writeFileSync(corrupted, changed(['steps', 2, 'state', 'secure_free'], 7));
    const empty = join(folder, 'empty.json');
    writeFileSync(empty, '');
    const missing = join(folder, 'missing.json');
    const { output, exitCode } = await conform(corrupted, empty, missing, join(TRACES, 'v6-corner_008.json'));
    expect(output).toContain(`${corrupted}: differs at step 2, state.secure_free: expected 7, actual `);
    expect(output).toContain(`${empty}: not JSON`);
    expect(output).toContain(`${missing}: ENOENT`);
    expect(output).toContain('1 conform, 1 differ, 2 unreadable');
    expect(exitCode).toBe(2);
  });

  it('fails when there is nothing to replay', async () => {
    const { output, exitCode } = await conform(folder);
    expect(output).toContain('no .json file below this directory');
    expect(exitCode).toBe(2);
  });

  it('ends with 1 if files differ and all could be read', async () => {
    const corrupted = join(folder, 'corrupted.json');
    writeFileSync(corrupted, changed(['steps', 2, 'state', 'secure_free'], 7));
    expect((await conform(corrupted, join(TRACES, 'v6-corner_008.json'))).exitCode).toBe(1);
  });

  it("also accepts the commands' names of disciplines, and prints these", async () => {
    const file = join(folder, 'named.json');
    const recorded = join(TRACES, 'v6-corner_008.json');
    const text = readFileSync(recorded, 'utf8');
    writeFileSync(file, text.replace('"v6"', '"patch-v6"'));
    const { output, exitCode } = await conform(file, recorded);
    expect(output.match(/: conforms \(patch-v6, \d+ steps\)/g)).toHaveLength(2);
    expect(exitCode).toBeUndefined();
    expect(() => parseTraceFile(changed(['variant'], 'linux-6.9'))).toThrow(
      'variant: expected one of linux-6.7 (in the format: prepatch), patch-v6 (in the format: v6), linux-6.8',
    );
  });
});
