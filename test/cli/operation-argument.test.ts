import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseOperationArgument } from '../../src/cli/optee/operation-argument.js';

describe('a parameter on the command line', () => {
  it.each<[string, object]>([
    ['none', { kind: 'none' }],
    ['value.input=1,0x20', { kind: 'value', direction: 'input', a: 1, b: 32 }],
    ['value.input=4294967295', { kind: 'value', direction: 'input', a: 0xffff_ffff, b: 0 }],
    ['value.output', { kind: 'value', direction: 'output' }],
    ['value.inout=7', { kind: 'value', direction: 'inout', a: 7, b: 0 }],
    ['memref.input=hex:00fF', { kind: 'temporary-memref', direction: 'input', buffer: Uint8Array.of(0, 255) }],
    ['memref.input=text:a=b,c', { direction: 'input', buffer: new TextEncoder().encode('a=b,c') }],
    ['memref.output=3', { direction: 'output', buffer: new Uint8Array(3) }],
    ['memref.inout=hex:', { direction: 'inout', buffer: new Uint8Array(0) }],
  ])('%s', async (text, parameter) => {
    expect((await parseOperationArgument(text)).parameter).toMatchObject(parameter);
  });

  it('reads inputs from files and writes outputs to files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'normalworld-'));
    try {
      const file = join(folder, 'in');
      await writeFile(file, 'content');
      expect(await parseOperationArgument(`memref.inout=@${file},out.bin`)).toMatchObject({
        parameter: { buffer: new Uint8Array(Buffer.from('content')) },
        file: 'out.bin',
      });
      expect(await parseOperationArgument('memref.output=16,out.bin')).toMatchObject({ file: 'out.bin' });
      await expect(parseOperationArgument(`memref.input=@${folder}/none`)).rejects.toThrow('ENOENT');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    ['value.input', 'value.input takes a value'],
    ['value.input=1,2,3', 'a value has two integers'],
    ['value.input=-1', '"-1" is not an integer from 0 to 0xffffffff'],
    ['value.inout=0x100000000', 'is not an integer'],
    ['value.output=1', 'value.output takes no value'],
    ['memref.input=abc', '"abc" is not text:..., hex:... or @FILE'],
    ['memref.input=hex:abc', 'is not hexadecimal'],
    ['memref.output=', '"" is not an integer'],
    ['memory=1', 'expected one of none, value.input'],
  ])('%s is refused', async (text, why) => {
    await expect(parseOperationArgument(text)).rejects.toThrow(why);
    await expect(parseOperationArgument(text)).rejects.toThrow(text);
  });
});
