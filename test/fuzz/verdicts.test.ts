import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findingText } from '../../src/fuzz/engine/finding-file.js';
import type { Step } from '../../src/fuzz/input/grammar.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const root = resolve(import.meta.dirname, '../..');
const command = join(root, 'dist/cli/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'normalworld-fuzz-verdicts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const ledger = '6b1f3c52-0d8e-4a77-9e55-3f1d2c4b5a60';
const without = whyNot ?? (spawnSync('aarch64-linux-gnu-gcc', ['--version']).status === 0 ? undefined : 'no compiler');

const value = (direction: string, a: number) => ({ kind: 'value', direction, a, b: 0 });
const memref = (direction: string, octets: string) => ({ kind: 'memref', direction, octets });
const invoke = (number: number, parameters: readonly Readonly<Record<string, string | number>>[]): Step => ({
  ...{ kind: 'invoke', session: 0, command: number, parameters },
});

/** What the ledger of bench/planted is told to do, with that defect built in. */
const verdictsOf = (defect: number, steps: readonly Step[]): readonly { kind: string; what: string }[] => {
  const into = join(scratch, String(defect));
  const build = ['ta', 'build', join(root, 'bench/planted/ledger'), '--set', `DEFECT=${defect}`, '--into', into];
  const { status, stderr } = spawnSync(process.execPath, [command, ...build], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const path = join(scratch, `${defect}.json`);
  const rest = { on: 'OP-TEE', kind: 'memory', signature: 'any', came: { times: 1, tries: 1 }, before: [] };
  writeFileSync(path, findingText({ target: { name: 'ta', uuid: ledger }, ...rest, steps }));
  const replay = ['replay', path, '--ta', join(into, 'ta'), '--json'];
  return JSON.parse(spawnSync(process.execPath, [command, ...replay], { encoding: 'utf8' }).stdout).verdicts;
};

describe.skipIf(without !== undefined)(onRealOptee('the verdict on a defect of an application'), () => {
  it.each<[string, number, readonly Step[], string, RegExp]>([
    [
      'an index that is not checked',
      2,
      [invoke(1, [value('input', 1_000_000), memref('input', '00')])],
      'ta-abort',
      /stopped with a data-abort/,
    ],
    ['a panic', 3, [invoke(1, [value('input', 0), memref('input', '')])], 'ta-panic', /panicked with code 0xffff0007/],
    [
      'writing behind what was given',
      4,
      [invoke(2, [value('input', 0), memref('output', '0000')])],
      'memory',
      /wrote after parameter 1/,
    ],
    ['a loop without end', 5, [invoke(3, [value('inout', 25)])], 'hang', /does not return/],
    [
      'writing an input',
      6,
      [invoke(4, [memref('input', '616263'), memref('output', '000000')])],
      'memory',
      /wrote in parameter 0, which is an input/,
    ],
  ])('%s', { timeout: 240_000 }, (_, defect, steps, kind, what) => {
    expect(verdictsOf(0, steps)).toEqual([]);
    expect(verdictsOf(defect, steps)[0]).toMatchObject({ kind, what: expect.stringMatching(what) });
  });
});
