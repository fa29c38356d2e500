import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devicePtaUuid } from '../../src/protocol/pta-device.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 50_000 });

it('takes --version behind a command as an option of the command', () => {
  const { status, stdout, stderr } = run('optee', 'fetch', '--version', '4.10', '--suite', 'sid');
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^normalworld: --version and --suite both choose the OP-TEE/);
  expect(status).toBe(2);
  expect(run('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe.skipIf(whyNot !== undefined)(onRealOptee('a command on OP-TEE'), { timeout: 60_000 }, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'normalworld-commands-'));
    for (const name of [
      '12345678-1234-4321-8765-1234567890ab.ta',
      '12345678-1234-4321-8765-abcdef123456.TA',
      'notes.txt',
    ])
      writeFileSync(join(folder, name), '');
    // As it was named before 2017; and as nobody asks for it.
    writeFileSync(join(folder, 'abcdef01-1234-4321-87651234567890ab.ta'), '');
    writeFileSync(join(folder, 'ABCDEF02-1234-4321-8765-1234567890AB.ta'), '');
    mkdirSync(join(folder, 'sub'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('lists the applications that OP-TEE enumerates, and those that a supplicant would load', () => {
    const nowhere = join(folder, 'nowhere');
    const { status, stdout, stderr } = run('optee', 'ta', 'list', '--ta', folder, '--ta', nowhere, '--json');
    expect(status, stderr).toBe(0);
    const { enumerated, devices, images } = JSON.parse(stdout) as {
      readonly enumerated: string[];
      readonly devices: { readonly uuid: string; readonly needs: string }[];
      readonly images: { readonly uuid: string; readonly folder: string; readonly name: string }[];
    };
    expect(devices.map(({ uuid }) => uuid)).toEqual(enumerated);
    expect(devices).toContainEqual({ uuid: 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b', needs: 'nothing' });
    expect(images.filter((image) => image.folder === folder)).toEqual([
      { uuid: '12345678-1234-4321-8765-1234567890ab', folder, name: '12345678-1234-4321-8765-1234567890ab.ta' },
      { uuid: 'abcdef01-1234-4321-8765-1234567890ab', folder, name: 'abcdef01-1234-4321-87651234567890ab.ta' },
    ]);
    expect(stderr).toMatch(/ABCDEF02.*: no supplicant looks for this name: an image is <uuid>\.ta, in lower case/);
    expect(stderr).toMatch(/nowhere: ENOENT/);
  });

  it('reports the size that an output needs', () => {
    const short = run('optee', 'invoke', devicePtaUuid, '0', 'memref.output=1');
    expect(short.stdout).toMatch(/^parameter 0: 1 bytes 00; (\d+) bytes are needed\n$/);
    expect(short.stderr).toMatch(/parameter 0 needs \d+ bytes, there is room for 1\): TEEC_ERROR_SHORT_BUFFER/);
    expect(short.status).toBe(1);
    const json = run('optee', 'invoke', devicePtaUuid, '0', 'memref.output=1', '--json');
    expect(JSON.parse(json.stdout)).toEqual({
      parameters: [{ bytes: 1, hex: '00', needed: expect.any(Number) }],
      error: { name: 'TEEC_ERROR_SHORT_BUFFER', code: 0xffff_0010, origin: 4 },
    });
  });
});

describe('optee invoke', () => {
  const uuid = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
  it.each([
    [['0', ...Array.from({ length: 5 }, () => 'none')], '5 parameters, at most 4'],
    [['4294967296'], 'command "4294967296" is not an integer from 0 to 0xffffffff'],
    [['1.5'], 'command "1.5" is not an integer'],
    [[''], 'command "" is not an integer'],
    [['0', '--repeat', '0'], '--repeat 0 is not an integer from 1'],
    [['0', '--repeat', '1e3'], '--repeat 1e3 is not an integer from 1'],
    [['0', 'value.input'], 'takes a value'],
  ] as const)('says what is wrong with %j before anything is started', (args, says) => {
    const { status, stderr, stdout } = run('optee', 'invoke', '--qemu', '/no/qemu', uuid, ...args);
    expect(stderr).toContain(says);
    expect([status, stdout]).toEqual([2, '']);
  });
});
