import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** Worker threads run compiled code; so does the command. */
const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const scenario = (name: string) => fileURLToPath(new URL(`../../../scenarios/explore/${name}`, import.meta.url));

function explore(workers: number, ...args: string[]): Record<string, unknown> {
  const all = [MAIN, 'explore', '--json', '--workers', String(workers), ...args];
  return JSON.parse(execFileSync(process.execPath, all, { encoding: 'utf8', timeout: 120_000 }));
}

it.each([
  { file: 'system-needs-system.yaml', args: ['--queue', 'hand-off', '--runs', '5000'], broken: false },
  { file: 'one-thread-short.yaml', args: ['--queue', 'linux-6.8', '--strategy', 'random'], broken: true },
])('two workers find the same as one: $file $args', { timeout: 240_000 }, ({ file, args, broken }) => {
  const one = explore(1, scenario(file), ...args);
  const two = explore(2, scenario(file), ...args);
  expect(two).toEqual({ ...one, seconds: two.seconds });
  expect(one.runs).toBeGreaterThan(100);
  expect(one.properties).toMatchObject({ finished: { verdict: broken ? 'broken' : 'holds' } });
});

it('an interrupted exploration reports its results so far', { timeout: 120_000 }, async () => {
  const args = [MAIN, 'explore', scenario('one-thread-short.yaml'), '--queue', 'hand-off', '--runs', '100000'];
  const child = spawn(process.execPath, [...args, '--json', '--progress', '--no-reduction', '--workers', '2']);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const [progress] = (await once(child.stderr, 'data')) as [Buffer];
  expect(String(progress)).toMatch(/\d+ of at most 100000 runs, \d+\/s, .*\d+ known to remain, \d+ MiB/);
  child.kill('SIGINT');
  await once(child, 'close');
  expect(JSON.parse(said)).toMatchObject({
    bound: 'interrupted',
    complete: false,
    reduction: 'nothing',
    properties: { finished: { verdict: 'bounded' } },
  });
});

it('an exploration stops at a limit of memory or of time', { timeout: 120_000 }, () => {
  const file = scenario('one-thread-short.yaml');
  const bounded = (...args: string[]) =>
    explore(1, file, '--queue', 'hand-off', '--no-reduction', '--runs', '100000', ...args);
  expect(bounded('--max-memory', '1')).toMatchObject({ bound: 'memory', runs: 0 });
  expect(bounded('--max-seconds', '1')).toMatchObject({ bound: 'time', complete: false });
});
