import { describe, expect, it } from 'vitest';
import {
  type ConsoleLine,
  isCorePanic,
  parseConsoleLine,
  printableLine,
} from '../../../src/worlds/qemu/console-line.js';
import { SecureConsole } from '../../../src/worlds/qemu/secure-console.js';
import { TaDeaths } from '../../../src/worlds/qemu/ta-death.js';

describe('the secure console', () => {
  it.each<[string, ConsoleLine['parsed']]>([
    [
      'D/TC:0 1 do_init_calls:19 finalcall level 1 release_external_dt()',
      {
        ...{ level: 'debug', module: 'TC', cpu: 0, thread: 1, function: 'do_init_calls', line: 19 },
        message: 'finalcall level 1 release_external_dt()',
      },
    ],
    [
      'D/TC:1   select_vector:646 x',
      { level: 'debug', module: 'TC', cpu: 1, thread: undefined, function: 'select_vector', line: 646, message: 'x' },
    ],
    [
      'I/TC: Primary CPU initializing',
      {
        ...{ level: 'info', module: 'TC', cpu: undefined, thread: undefined, function: undefined, line: undefined },
        message: 'Primary CPU initializing',
      },
    ],
    [
      'E/TC:? 0 tee_ta_open:7 gone',
      { level: 'error', module: 'TC', cpu: undefined, thread: 0, function: 'tee_ta_open', line: 7, message: 'gone' },
    ],
    [
      'E/TA:  hello:12 bad',
      { level: 'error', module: 'TA', cpu: undefined, thread: undefined, function: 'hello', line: 12, message: 'bad' },
    ],
    ['0000 5e 2a', undefined],
    ['X/TC:0 0 no such level', undefined],
  ])('reads "%s"', (text, parsed) => {
    expect(parseConsoleLine(text)).toEqual({ text, parsed });
  });

  const nothing = { cpu: undefined, thread: undefined, function: undefined, line: undefined };
  it.each<[string, ConsoleLine['parsed']]>([
    [
      'D/TC:?? 00 f:298 up',
      { ...nothing, level: 'debug', module: 'TC', thread: 0, function: 'f', line: 298, message: 'up' },
    ],
    ['E/TC:??? 000 Panic', { ...nothing, level: 'error', module: 'TC', thread: 0, message: 'Panic' }],
    ['E/TC:10 12 x', { ...nothing, level: 'error', module: 'TC', cpu: 10, thread: 12, message: 'x' }],
    ['E/TC:10    12 apples', { ...nothing, level: 'error', module: 'TC', cpu: 10, message: '12 apples' }],
    ['I/TA: 12 apples', { ...nothing, level: 'info', module: 'TA', message: '12 apples' }],
    ['M/TA: always', { ...nothing, level: 'message', module: 'TA', message: 'always' }],
    ['[000012345678] I/TC: up', { ...nothing, level: 'info', module: 'TC', message: 'up' }],
    ['Oct 12 10:00:01 board optee: I/TC: up', { ...nothing, level: 'info', module: 'TC', message: 'up' }],
    ['\x1b[31mE/TC:0 0 x\x1b[0m', { ...nothing, level: 'error', module: 'TC', cpu: 0, thread: 0, message: 'x' }],
    [
      'ERROR:   TEE-CORE: user TA data-abort',
      { ...nothing, level: 'error', module: 'TC', message: 'user TA data-abort' },
    ],
    [
      'DEBUG:   [0x1] TEE-CORE:f:62: x',
      { ...nothing, level: 'debug', module: 'TC', cpu: 1, function: 'f', line: 62, message: 'x' },
    ],
  ])('reads "%s" of other builds', (text, parsed) => {
    expect(parseConsoleLine(text)).toEqual({ text, parsed });
  });

  it.each([
    'E/TC:0 0 Panic',
    'E/TC:?? 00 Panic at core/kernel/example.c:12 <example>',
    'E/TC:11 00 Panic',
    "[000012345678] E/TC:1 1 Panic 'x' at core/arch/arm/kernel/example.c:7 <example>",
    'PANIC: example core/arch/arm/mm/example.c:654',
    '\x1b[1;31mE/TC:0 0 Panic\x1b[0m',
  ])("recognises the core's panic in %j", (text) => {
    expect(isCorePanic(parseConsoleLine(text))).toBe(true);
  });

  it.each(['I/TA: E/TC:0 0 Panic', 'E/TC:0 0 Panicking is not it', 'I/TC:0 0 Panic', "DON'T PANIC"])(
    'does not take %j for a panic of the core',
    (text) => {
      expect(isCorePanic(parseConsoleLine(text))).toBe(false);
    },
  );

  it('removes control sequences from a line for a terminal', () => {
    expect(printableLine('a\x1b[2Jb\x1b]0;title\x07c\x07\r')).toBe('abc');
  });

  it('reads the panic of an application with all its details', () => {
    const deaths = new TaDeaths();
    const read = (...lines: string[]) => {
      for (const line of lines) deaths.read(parseConsoleLine(line));
    };
    read('I/TA: before', 'E/TC:? 0 TA panicked with code 0xffff0006');
    expect(deaths.take(), 'nobody knows whose').toBeUndefined();
    read('E/LD:  Status of TA 5B9E0E40-2636-11e1-ad9e-0002a5d5c51b', 'E/LD:  Call stack:', 'E/LD:   0x40012345');
    expect(deaths.take()).toEqual({
      uuid: '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b',
      code: 0xffff_0006,
      console: [
        'E/TC:? 0 TA panicked with code 0xffff0006',
        'E/LD:  Status of TA 5B9E0E40-2636-11e1-ad9e-0002a5d5c51b',
        'E/LD:  Call stack:',
        'E/LD:   0x40012345',
      ],
    });
    expect(deaths.take()).toBeUndefined();
    read(
      'E/TC:? 0 User mode data-abort at address 0x0 (translation fault)',
      'E/LD:  Status of TA 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b',
    );
    expect(deaths.take()).toMatchObject({ code: 0xdead_beef });
  });

  it("distinguishes the core's panic from a trusted application's", () => {
    const panics = (text: string) => isCorePanic(parseConsoleLine(text));
    expect(panics('E/TC:0 0 Panic at core/kernel/x.c:12 <f>')).toBe(true);
    expect(panics("E/TC:0   Panic 'out of memory' at core/kernel/x.c:12 <f>")).toBe(true);
    expect(panics('E/TC:? 0 TA panicked with code 0xffff0000')).toBe(false);
    expect(panics('E/TA:  Panic at core/kernel/x.c:12')).toBe(false);
  });

  it('assembles lines from pieces, and keeps the last ones', () => {
    const lines: string[] = [];
    const console = new SecureConsole(({ text }) => lines.push(text));
    for (const piece of ['I/TC: a', 'b\r', '\nI/TC: c\nI/T', 'C: d']) console.write(piece);
    expect(lines).toEqual(['I/TC: ab', 'I/TC: c']);
    expect(console.tail).toBe('I/TC: ab\nI/TC: c\nI/TC: d');
    for (let line = 0; line < 100; line++) console.write(`${line}\n`);
    expect(console.tail.split('\n')).toHaveLength(30);
  });

  it('does not keep an endless line', () => {
    const lines: string[] = [];
    const console = new SecureConsole(({ text }) => lines.push(text));
    for (let piece = 0; piece < 100; piece++) console.write('x'.repeat(100));
    expect(lines.join('').length).toBeGreaterThan(4000);
    expect(console.tail.length).toBeLessThan(20_000);
  });
});
