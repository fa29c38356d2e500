import { describe, expect, it } from 'vitest';
import {
  type ConsoleLine,
  isCorePanic,
  parseConsoleLine,
  SecureConsole,
} from '../../../src/worlds/qemu/secure-console.js';

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

  it("tells the core's panic from a trusted application's", () => {
    const panics = (text: string) => isCorePanic(parseConsoleLine(text));
    expect(panics('E/TC:0 0 Panic at core/kernel/x.c:12 <f>')).toBe(true);
    expect(panics("E/TC:0   Panic 'out of memory' at core/kernel/x.c:12 <f>")).toBe(true);
    expect(panics('E/TC:? 0 TA panicked with code 0xffff0000')).toBe(false);
    expect(panics('E/TA:  Panic at core/kernel/x.c:12')).toBe(false);
  });

  it('puts lines together from the pieces in which they come, and keeps the last ones', () => {
    const lines: string[] = [];
    const console = new SecureConsole(({ text }) => lines.push(text));
    for (const piece of ['I/TC: a', 'b\r', '\nI/TC: c\nI/T', 'C: d']) console.write(piece);
    expect(lines).toEqual(['I/TC: ab', 'I/TC: c']);
    expect(console.tail).toBe('I/TC: ab\nI/TC: c\nI/TC: d');
    for (let line = 0; line < 100; line++) console.write(`${line}\n`);
    expect(console.tail.split('\n')).toHaveLength(30);
  });

  it('does not keep a line without end', () => {
    const lines: string[] = [];
    const console = new SecureConsole(({ text }) => lines.push(text));
    for (let piece = 0; piece < 100; piece++) console.write('x'.repeat(100));
    expect(lines.join('').length).toBeGreaterThan(4000);
    expect(console.tail.length).toBeLessThan(20_000);
  });
});
