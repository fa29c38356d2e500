import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { normalworldProgram } from '../../src/cli/program.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';

const recorded = (name: string) => resolve(import.meta.dirname, '../trace', name);
const hang = recorded('linux-hang.txt');
const stacks = recorded('linux-stacks.txt');

let folder: string;
let out: string[];
let err: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-import-'));
  out = [];
  err = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void out.push(line));
  vi.spyOn(console, 'error').mockImplementation((line: string) => void err.push(line));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** What `normalworld trace import` with these arguments says, and its exit code. */
async function imported(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  out = [];
  err = [];
  process.exitCode = undefined;
  try {
    await (await normalworldProgram()).parseAsync(['trace', 'import', ...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = 2;
  }
  return { code: Number(process.exitCode ?? 0), out: out.join('\n'), err: err.join('\n') };
}

function written(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const utf16 = (text: string, big: boolean, mark: boolean) => {
  const octets = Buffer.from(`${mark ? '\ufeff' : ''}${text}`, 'utf16le');
  return big ? octets.swap16() : octets;
};

describe('normalworld trace import', () => {
  const text = readFileSync(hang, 'utf8');

  it.each<[string, string | Uint8Array]>([
    ['gzip', gzipSync(text)],
    ['gzip in two members', Buffer.concat([gzipSync(text.slice(0, 700)), gzipSync(text.slice(700))])],
    ['UTF-16 with its mark, as PowerShell writes', utf16(text, false, true)],
    ['UTF-16, the high octet first', utf16(text, true, true)],
    ['UTF-16 without a mark', utf16(text, false, false)],
    ['gzip of UTF-16', gzipSync(utf16(text, false, true))],
    ['UTF-8 with a mark', `\ufeff${text}`],
    ['lines that end as in Windows', text.replaceAll('\n', '\r\n')],
    ['no line feed at its end', text.trimEnd()],
    [
      'lines that end in CR LF, LF, CR or CR CR LF',
      text
        .split('\n')
        .map((line, at) => line + ['\r\n', '\n', '\r', '\r\r\n'][at % 4])
        .join(''),
    ],
    [
      'some NUL octets, as a serial line adds',
      text.replaceAll('optee_invoke_fn_end', '\0\0optee_invoke_fn_end').replace('param', 'par\0am'),
    ],
    ['Latin-1 in a name of a task', Buffer.from(text.replaceAll('storage', 'stör'), 'latin1')],
  ])('reads a text as %s', async (_, content) => {
    const plain = await imported(hang, '--json');
    const said = await imported(written('board', content), '--json');
    expect(said).toMatchObject({ code: 0, err: '' });
    const { verdict, ...rest } = JSON.parse(said.out);
    const { verdict: wanted, ...others } = JSON.parse(plain.out);
    expect([verdict.outcome, verdict.hangsSinceMs, rest.lines, rest.calls]).toEqual([
      wanted.outcome,
      wanted.hangsSinceMs,
      others.lines,
      others.calls,
    ]);
  });

  it.each<[string, Uint8Array, string]>([
    ['trace.dat', Buffer.from('\x17\x08\x44tracing7\0\0'), 'a binary file of trace-cmd: trace-cmd report -i'],
    ['perf.data', Buffer.from('PERFILE2\0\0\0\0'), 'a binary file of perf: perf script -i'],
    ['board.xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), 'it is compressed: xz -dc'],
    ['board.zst', Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 'it is compressed: zstd -dc'],
    ['board.zip', Buffer.from('PK\x03\x04'), 'it is an archive: unzip it'],
    ['vmlinux', Buffer.from('\x7fELF'), 'it is a program'],
    ['octets', Buffer.from([1, 2, 0, 3, 0, 0, 0, 9, 1]), 'it is not text: use the output of trace-cmd report'],
    ['torn.gz', gzipSync('x'.repeat(1000)).subarray(0, 11), 'unexpected end of file'],
    ['wrong.gz', Buffer.from([0x1f, 0x8b, 0, 1, 2, 3]), 'torn|incorrect|unknown'],
    ['empty', Buffer.alloc(0), 'no line of the tracepoints'],
  ])('says what to do with %s', async (name, content, words) => {
    const { code, out: said, err: told } = await imported(written(name, content));
    expect({ code, said }).toEqual({ code: 2, said: '' });
    expect(told).toMatch(new RegExp(`^error: .*${name}: .*(?:${words})`));
  });

  it('reads what is left of a torn gzip file, and says so', async () => {
    const lines = Array.from({ length: 200 }, (_, at) =>
      text.replaceAll('a1b2', at.toString(16).padStart(4, '0')),
    ).join('\n');
    const packed = gzipSync(lines);
    const {
      code,
      err: told,
      out: said,
    } = await imported(written('torn.gz', packed.subarray(0, packed.length / 2)), '--json');
    expect(code).toBe(0);
    expect(told).toMatch(/torn\.gz: the compressed data ends too early: .*missing/);
    expect(JSON.parse(said).lines).toBeGreaterThan(100);
  });

  it('says how to record if a text has nothing of it', async () => {
    const { code, err: told } = await imported(written('boot.txt', '[    1.2] optee: initialized driver\n'));
    expect(code).toBe(2);
    expect(told).toMatch(/boot\.txt: .*no line of the tracepoints.*\n.*trace import --help/);
  });

  it('tells the cycle of a deadlock once', async () => {
    const { out: said } = await imported(
      written(
        'circle.txt',
        [
          '  storage-401 [000] .....  20.000000: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)',
          '  storage-401 [000] .....  20.100000: optee_invoke_fn_end: param=1 ret (ffff0005, 0, 0, 0)',
          '  storage-401 [000] .....  20.200000: optee_invoke_fn_begin: param=2 (32000013, 0, 0, 0, 0, 0, 0, 0)',
          '  storage-401 [000] .....  20.200100: optee_invoke_fn_end: param=2 ret (1, 0, 0, 0)',
        ].join('\n'),
      ),
    );
    expect(said.match(/DEADLOCK/g)).toHaveLength(1);
    expect(said.match(/sleeps in the queue: it waits for/g)).toHaveLength(1);
  });

  it('names the cycle of a deadlock with stacks of the same board', async () => {
    expect((await imported(hang, stacks)).out).toMatch(/^DEADLOCK|^EXHAUSTED|^STUCK/);
  });

  it('asks for stacks only if there are none, and names what all calls wait for', async () => {
    const without = (await imported(hang)).out;
    expect(without).toMatch(/If what the RPC of storage-402 #\d+ waits for needs that call, .* stacks of these tasks/);
    const told = (await imported(hang, stacks)).out;
    expect(told).not.toContain('would tell');
    expect(told).toMatch(/The stacks show no cycle\. All wait for storage-403 #\d+ to return from secure world/);
  });

  it('writes a scenario that reproduces the outcome, and says so', async () => {
    const circle = [
      '  storage-401 [000] .....  20.000000: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)',
      '  storage-401 [000] .....  20.100000: optee_invoke_fn_end: param=1 ret (ffff0005, 0, 0, 0)',
      '  storage-401 [000] .....  20.200000: optee_invoke_fn_begin: param=2 (32000013, 0, 0, 0, 0, 0, 0, 0)',
      '  storage-401 [000] .....  20.200100: optee_invoke_fn_end: param=2 ret (1, 0, 0, 0)',
    ].join('\n');
    const exhausted = circle.replace(/storage-401(.*param=2)/g, 'scmi-88$1');
    for (const [name, content, outcome] of [
      ['circle', circle, 'deadlock'],
      ['exhausted', exhausted, 'stuck'],
      ['well', circle.split('\n').slice(2).join('\n').replace('(1,', '(0,'), undefined],
    ] as const) {
      const file = join(folder, `${name}.yaml`);
      const { code, err: told, out: said } = await imported(written(`${name}.txt`, content), '--scenario', file);
      expect(code).toBe(0);
      const scenario = parseScenario(readFileSync(file, 'utf8'), file);
      if (outcome === undefined) continue;
      expect(said).toMatch(outcome === 'stuck' ? /^EXHAUSTED/ : new RegExp(`^${outcome.toUpperCase()}`));
      const [, seed] = /it has the outcome of the board: \w+(?: with --seed (\d+))?/.exec(told) ?? [undefined, 'none'];
      expect(seed, told).not.toBe('none');
      const { runs } = await runScenario(scenario, { seed: Number(seed ?? 1) });
      expect(runs[0]?.outcome).toBe(outcome);
    }
  });

  it('distinguishes tasks of the kernel from programs, and says which RPCs it chose', async () => {
    const lines = ['keystored-301', 'kworker/1:2-88', 'kswapd0-61'].flatMap((task, at) => [
      `  ${task} [000] .....  2${at}.000000: optee_invoke_fn_begin: param=${at} (32000013, 0, 0, 0, 0, 0, 0, 0)`,
      `  ${task} [000] .....  2${at}.000100: optee_invoke_fn_end: param=${at} ret (ffff0005, 0, 0, 0)`,
      `  ${task} [000] .....  2${at}.000200: optee_invoke_fn_begin: param=${at} (32000003, 0, 0, 0, 0, 0, 0, 0)`,
      `  ${task} [000] .....  2${at}.000300: optee_invoke_fn_end: param=${at} ret (0, 0, 0, 0)`,
    ]);
    const file = join(folder, 'tasks.yaml');
    await imported(written('tasks.txt', lines.join('\n')), '--scenario', file);
    const { clients, about } = parseScenario(readFileSync(file, 'utf8'), file);
    expect([...clients].map(([name, { kernel }]) => [name, kernel])).toEqual([
      ['keystored-301', false],
      ['kworker-1-2-88', true],
      ['kswapd0-61', true],
    ]);
    expect(about).toMatch(/The record does not show the commands of RPCs: fs stands for one that was answered/);
  });

  it('takes the number of threads from the user or the record', async () => {
    const { out: said } = await imported(hang, '--threads', '8');
    expect(said).toContain('8 threads of secure world (announced by secure world)');
    for (const threads of ['0', 'x', '1.5', '99999999'])
      expect(await imported(hang, '--threads', threads)).toMatchObject({ code: 2, out: '' });
  });
});
