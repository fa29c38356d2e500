import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Worker threads run compiled code; so does the command. */
const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

interface Report {
  states: number;
  transitions: number;
  depth: number;
  properties: Record<string, { verdict: string; steps: number | null }>;
}

function explore(workers: number, ...args: string[]): Report {
  const all = [MAIN, 'explore', '--json', '--no-symmetry', '--workers', String(workers), ...args];
  return JSON.parse(execFileSync(process.execPath, all, { encoding: 'utf8', timeout: 60_000, maxBuffer: 2 ** 26 }));
}

describe('a search on several cores', () => {
  it.each([
    [
      '--queue',
      'linux-6.8',
      '--threads',
      '2',
      '--secure-threads',
      '1',
      '--reservations',
      '1',
      '--callers',
      'N+N,2*N,2*S',
    ],
    ['--queue', 'patch-v6', '--threads', '2', '--reservations', '1', '--callers', 'N+N,2*N,2*S'],
    ['--queue', 'hand-off', '--threads', '4', '--secure-threads', '3', '--callers', '3*N+N,2*N'],
  ])('finds the same states and the same lengths: %s %s %s %s', { timeout: 60_000 }, (...args) => {
    const one = explore(1, ...args);
    const two = explore(2, ...args);
    expect(one.states).toBeGreaterThan(50_000);
    const lengths = ({ properties }: Report) => Object.entries(properties).map(([name, { steps }]) => [name, steps]);
    expect({ ...two, properties: lengths(two), seconds: 0, bytes: 0 }).toEqual({
      ...one,
      properties: lengths(one),
      seconds: 0,
      bytes: 0,
    });
  });
});
