import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folded, reportTable } from '../../src/cli/output/print-report.js';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'normalworld-width-'));
const trace = join(folder, 'run.nwt');

function said(words: string, columns?: number): string {
  const { COLUMNS: _, ...rest } = process.env;
  const env = columns === undefined ? rest : { ...rest, COLUMNS: String(columns) };
  const { stdout } = spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...words.split(' ')], {
    encoding: 'utf8',
    env,
    cwd: root,
  });
  return stdout;
}

beforeAll(() => {
  said(`run rpmb-scmi-deadlock --queue linux-6.7 --trace ${trace}`);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe('a report', { timeout: 60_000 }, () => {
  const commands = [
    'run rpmb-scmi-deadlock',
    'explore --callers N,N,S --queue patch-v6 --reservations 1',
    `trace stats ${trace}`,
    'trace import test/trace/linux-hang.txt test/trace/linux-stacks.txt',
    `top ${trace} --once`,
    'doctor',
  ];
  it.each(commands)('fits a terminal of any width: %s', (words) => {
    const narrow = said(words, 40);
    for (const line of narrow.split('\n')) expect(line.length, line).toBeLessThanOrEqual(40);
    expect(narrow).not.toBe('');
  });

  it('is not wrapped if the output is a pipe', () => {
    expect(said(`trace stats ${trace}`)).toMatch(/^.{100,}$/m);
  });

  it('continues in the column after a label, and below an indentation', () => {
    expect(folded('ok       qemu: as good as new', 24)).toEqual(['ok       qemu: as good', '         as new']);
    expect(folded('  thread 0: a call of somebody', 20)).toEqual(['  thread 0: a call', '    of somebody']);
    expect(folded('  again: normalworld run a-very-long-name.yaml', 20)).toHaveLength(1);
  });

  it('prints several lines per row if the columns do not fit', () => {
    const table = reportTable(['call', 'held', 'client'], [['1', '2.00 ms', 'storage 1: RPC FS']], 30);
    expect(table).toEqual(['storage 1: RPC FS', '    call 1, held 2.00 ms']);
    expect(reportTable(['call', 'client'], [['1', 'storage 1: RPC FS, for a long time']], 30)).toEqual([
      'call  client',
      '   1  storage 1: RPC FS, for a',
      '      long time',
    ]);
  });
});
