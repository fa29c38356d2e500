import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { elfWithFunctions } from '../support/elf-with-functions.js';

const command = [resolve(import.meta.dirname, '../../dist/cli/main.js'), 'optee', 'symbolize'];

it('copies a text line by line, without carriage returns, and with no line feed added at the end', () => {
  const text = 'one\r\n\ntwo\n0x00000000 ends without';
  const { stdout, stderr, status } = spawnSync(process.execPath, command, { input: text, encoding: 'utf8' });
  expect({ stdout, stderr, status }).toEqual({
    stdout: text.replace('\r', ''),
    stderr: 'normalworld: the input has no call stack\n',
    status: 1,
  });
});

it('passes a line without end on while it comes', async () => {
  const child = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = new Promise((end) => child.once('close', end));
  let passed = 0;
  const most = 100 << 20;
  // What is written is not kept: the line arrives while it has no end.
  const piece = Buffer.alloc(1 << 20, 'x');
  const reading = (async () => {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      passed += chunk.length;
      if (passed >= most) return;
    }
  })();
  const feed = () => {
    while (child.stdin.write(piece));
  };
  child.stdin.on('drain', feed).on('error', () => undefined);
  feed();
  await reading;
  child.kill('SIGKILL');
  await ended;
  expect(passed).toBeGreaterThanOrEqual(most);
});

describe('consoles of other builds, versions and loggers', () => {
  const [wide, narrow] = ['5b9e0e40-2636-11e1-ad9e-0002a5d5c51b', '7fc5c039-0542-4ee1-80af-b4eab2f1998d'];
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'normalworld-symbolize-'));
    const functions = [
      { name: 'inner', at: 0x1000, size: 0x100 },
      { name: 'outer', at: 0x1100, size: 0x100 },
      { name: 'entry', at: 0x1200, size: 0x100 },
    ];
    writeFileSync(join(folder, `${wide}.elf`), elfWithFunctions(64, 0, functions));
    // Thumb code.
    const thumb = functions.map((each) => ({ ...each, at: each.at + 1 }));
    writeFileSync(join(folder, `${narrow}.elf`), elfWithFunctions(32, 0, thumb));
    const core = functions.map(({ name, at, size }) => ({ name: `core_${name}`, at: 0xe10_0000 + at, size }));
    writeFileSync(join(folder, 'tee.elf'), elfWithFunctions(64, 0xe10_0000, core));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** @returns the names that were added, and what else differs from the input. */
  const symbolize = (text: string) => {
    const options = ['--ta-elf', folder, '--core-elf', join(folder, 'tee.elf')];
    const { stdout, stderr, status } = spawnSync(process.execPath, [...command, ...options], {
      input: text,
      encoding: 'utf8',
    });
    const given = text.replaceAll('\r', '').split('\n');
    const said = stdout.split('\n').filter((line) => !given.includes(line));
    return { said: said.map((line) => line.replace(/^.*(?=0x[0-9a-f]+ \w+$)/, '')), stderr, status };
  };
  const found = (...said: string[]) => ({ said, stderr: '', status: 0 });

  /** OP-TEE 3.8 and later. */
  const modern = (at: number) => [
    'E/TC:? 0 ',
    'E/TC:? 0 User mode data-abort at address 0x123450 (translation fault)',
    'E/TC:? 0  esr 0x92000005  ttbr0 0x200000e1d0000   ttbr1 0x00000000   cidr 0x0',
    'E/TC:? 0  cpu #0          cpsr 0x80000100',
    `E/TC:? 0  x30 ${(at + 0x1124).toString(16).padStart(16, '0')} elr ${(at + 0x1080).toString(16).padStart(16, '0')}`,
    `E/LD:  Status of TA ${wide}`,
    'E/LD:   arch: aarch64',
    `E/LD:  region  6: va 0x${at.toString(16)} pa 0x0e1ed000 size 0x01a000 flags r-xs [0]`,
    `E/LD:   [0] ${wide} @ 0x${at.toString(16)}`,
    'E/LD:  Call stack:',
    `E/LD:   0x${(at + 0x1080).toString(16)}`,
    // A call that is the first instruction of its function: the unwinder for arm64 prints calls, not where they return.
    `E/LD:   0x${(at + 0x1100).toString(16)}`,
    `E/LD:   0x${(at + 0x1200).toString(16)}`,
  ];

  it('name the calls in arm64 code, which are not return addresses', () => {
    expect(symbolize(modern(0x4007_a000).join('\n'))).toEqual(
      found('0x4007b080 inner', '0x4007b100 outer', '0x4007b200 entry'),
    );
  });

  it('have several aborts, each with its load address', () => {
    const text = [...modern(0x4007_a000), 'D/TC:? 0 next', ...modern(0x4004_c000)].join('\n');
    expect(symbolize(text).said).toEqual([
      ...['0x4007b080 inner', '0x4007b100 outer', '0x4007b200 entry'],
      ...['0x4004d080 inner', '0x4004d100 outer', '0x4004d200 entry'],
    ]);
  });

  it('have lines of others between those of a call stack', () => {
    const lines = modern(0x4007_a000);
    lines.splice(-1, 0, 'D/TC:1 1 periodic_callback:136 seconds 1 millis 102 count 1');
    lines.splice(-1, 0, '[   35.607698] mmc0: new high speed SDIO card at address 0001');
    expect(symbolize(lines.join('\n')).said).toEqual(['0x4007b080 inner', '0x4007b100 outer', '0x4007b200 entry']);
  });

  it.each([
    ['[2026-11-30 09:41:07.123] ', '\r\n'],
    ['[   35.607698]<6> (6)[2254:xtest]', '\n'],
    ['Nov 30 09:41:07 board secure: ', '\n'],
    ['\x1b[0;31m', '\x1b[0m\n'],
    ['> ', '\n'],
  ])('have the prefix %j', (prefix, end) => {
    const text = modern(0x4007_a000)
      .map((line) => `${prefix}${line}${end}`)
      .join('');
    expect(symbolize(text).stderr).toBe('');
    expect(symbolize(text).said.join('\n')).toMatch(/inner[\s\S]*outer[\s\S]*entry/);
  });

  it('are of 32-bit applications, with return addresses in Thumb code', () => {
    const text = [
      'E/TC:? 0 User TA data-abort at address 0x4002c088 (write permission fault)',
      'E/TC:? 0  fsr 0x00000a0f  ttbr0 0x2ffd5020  ttbr1 0x00000000  cidr 0x0',
      'E/TC:? 0  cpu #1          cpsr 0x60000130',
      'E/TC:? 0  r0 0x00000017      r4 0x4000cf68    r8 0x00000001   r12 0x00000017',
      'E/TC:? 0  r3 0x4001c000      r7 0x400340cc   r11 0x400340fc    pc 0x4002d080',
      `E/LD:  Status of TA ${narrow}`,
      'E/LD:   arch: arm',
      'E/LD:  region  5: va 0x4002c000 pa 0x00001000 size 0x011000 flags r-xs [0]',
      `E/LD:   [0] ${narrow} @ 0x4002c000`,
      'E/LD:  Call stack:',
      'E/LD:   0x4002d080',
      'E/LD:   0x4002d201',
      'E/LD:   0x4002d205',
    ];
    expect(symbolize(text.join('\n')).said).toEqual(['0x4002d080 inner', '0x4002d201 outer', '0x4002d205 entry']);
  });

  it('are of OP-TEE 3.7 and earlier, where the core prints the dump', () => {
    const text = [
      'E/TC:? 0 ',
      'E/TC:? 0 TA panicked with code 0x0',
      `E/TC:? 0 Status of TA ${narrow} (0xe171f00) (active)`,
      'E/TC:? 0  arch: arm  load address: 0x203000 ctx-idr: 2',
      'E/TC:? 0  stack: 0x102000 1050624',
      'E/TC:? 0  region 0: va 0x100000 pa 0xe100000 size 0x1000 flags ---R-X ',
      'E/TC:? 0  region 1: va 0x102000 pa 0xed21000 size 0x101000 flags rw-RW- ',
      'E/TC:? 0  region 2: va 0x203000 pa 0xe300000 size 0x1e000 flags r-x--- ',
      'E/TC:? 0 Call stack:',
      'E/TC:? 0  0x00204080',
      'E/TC:? 0  0x00204105',
    ];
    expect(symbolize(text.join('\n')).said).toEqual(['0x00204080 inner', '0x00204105 outer']);
  });

  it('are of OP-TEE 2, and have no call stack: then they end with the function of the abort', () => {
    const old = (pc: string) => [
      'ERROR:   TEE-CORE: user TA data-abort at address 0x0 (translation fault)',
      'ERROR:   TEE-CORE:  fsr 0x00000805  ttbr0 0x7df6d46a  ttbr1 0x7df6806a  cidr 0x1',
      'ERROR:   TEE-CORE:  r2 0x00000000      r6 0x001026e8   r10 0x52a7b32c    lr 0x001057b9',
      `ERROR:   TEE-CORE:  r3 0x00000000      r7 0x00102718   r11 0x00000000    pc ${pc}`,
      `ERROR:   TEE-CORE: Status of TA ${narrow.replace(/-(?=[^-]*$)/, '')} (0x7df67cf0) (active)`,
      'ERROR:   TEE-CORE: - load addr : 0x103000    ctx-idr: 1',
      'DEBUG:   [0x0] TEE-CORE:user_ta_enter:521: tee_user_ta_enter: TA panicked with code 0xdeadbeef',
    ];
    const text = `${[...old('0x00104010'), ...old('0x00104110')].join('\n')}\n`;
    expect(symbolize(text)).toEqual(found('0x104010 inner', '0x104110 outer'));
  });

  it('have a panic of the core, at its load address or where it was linked', () => {
    const panic = "E/TC:0 0 Panic 'out of memory' at core/kernel/x.c:12 <f>";
    const stack = (at: bigint) => [
      'E/TC:0 0 Call stack:',
      ...[0x1000n, 0x1100n].map((offset) => `E/TC:0 0  0x${(at + offset).toString(16).padStart(16, '0')}`),
    ];
    const moved = [panic, 'E/TC:0 0 TEE load address @ 0x5ab0b000', ...stack(0x5ab0_b000n)];
    const names = (at: bigint) => [
      `0x${(at + 0x1000n).toString(16).padStart(16, '0')} core_inner`,
      `0x${(at + 0x1100n).toString(16).padStart(16, '0')} core_outer`,
    ];
    expect(symbolize(moved.join('\n')).said).toEqual(names(0x5ab0_b000n));
    expect(symbolize([panic, ...stack(0xe10_0000n)].join('\n')).said).toEqual(names(0xe10_0000n));
  });
});
