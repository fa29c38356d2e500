import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { IntegerField, ListField } from '../../src/fuzz/input/grammar.js';
import { targetNamed } from '../../src/fuzz/open-target.js';

const folder = mkdtempSync(join(tmpdir(), 'normalworld-fuzz-image-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const uuid = '6b1f3c52-0d8e-4a77-9e55-3f1d2c4b5a61';
const target = () => targetNamed('ta', uuid, { optee: { image: '', taFolders: [folder] } });

/** An ELF file for AArch64 with one executable segment. */
function elf(code: readonly number[]): Uint8Array {
  const [header, program] = [64, 56];
  const bytes = new Uint8Array(header + program + 4 * code.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x7f45_4c46);
  view.setUint8(4, 2);
  view.setUint16(18, 183, true);
  view.setBigUint64(32, BigInt(header), true);
  view.setUint16(54, program, true);
  view.setUint16(56, 1, true);
  view.setUint32(header, 1, true);
  view.setUint32(header + 4, 5, true);
  view.setBigUint64(header + 8, BigInt(header + program), true);
  view.setBigUint64(header + 32, BigInt(4 * code.length), true);
  for (const [index, word] of code.entries()) view.setUint32(header + program + 4 * index, word, true);
  return bytes;
}

const code = [
  0x7101_843f, // cmp w1, #0x61
  0x5400_0041, // b.ne
  0x7100_a01f, // cmp w0, #40
  0x5400_0048, // b.hi
  0x5282_4682, // mov w2, #0x1234
  0x72b5_79a2, // movk w2, #0xabcd, lsl #16
  0x6b02_001f, // cmp w0, w2
  0x5400_0040, // b.eq
  0x7141_043f, // cmp w1, #0x41, lsl #12
  0x5400_0041, // b.ne
  0x3100_0c1f, // cmn w0, #3
  0x5400_0041, // b.ne
];

describe('the image of an application under test', () => {
  it('gives the types of parameters, commands and limits that its code compares with', () => {
    writeFileSync(join(folder, `${uuid}.ta`), elf(code));
    const { grammar, seeds } = target();
    const typed = [
      { kind: 'value', direction: 'input', a: 1, b: 1 },
      { kind: 'memref', direction: 'output', octets: '00'.repeat(32) },
    ];
    for (const command of [0, 1, 23])
      expect(seeds).toContainEqual({ steps: [{ kind: 'invoke', session: 0, command, parameters: typed }] });
    const { command, parameters } = grammar.steps.of.invoke as { command: IntegerField; parameters: ListField };
    expect(parameters.usual).toEqual([typed]);
    expect(command.usual).toEqual(expect.arrayContaining([0, 23, 0xabcd_1234, 0x41_000]));
    expect(command.usual).not.toContain(40);
    const { value } = (parameters.of as { of: Record<string, Record<string, IntegerField>> }).of;
    expect(value?.a?.usual).toEqual(expect.arrayContaining([40, 41]));
    // -3 is the code of an error.
    expect(value?.a?.usual).not.toContain(2 ** 32 - 3);
  });

  it.each([
    ['there is none', undefined],
    ['it is none', Buffer.from('HSTO, and nothing more that an image has')],
    ['it is cut short', elf(code).subarray(0, 100)],
  ])('is not needed: %s', (_, bytes) => {
    rmSync(join(folder, `${uuid}.ta`), { force: true });
    if (bytes !== undefined) writeFileSync(join(folder, `${uuid}.ta`), bytes);
    const { grammar, seeds } = target();
    expect(seeds.length).toBe(4);
    expect((grammar.steps.of.invoke as { parameters: ListField }).parameters.usual).toEqual([]);
  });
});
