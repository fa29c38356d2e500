import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const record = (name: string) =>
  fileURLToPath(new URL(`../../linux/findings/records/linux-6.12-stock-${name}.txt.gz`, import.meta.url));

/** What the verdict on a record of a real kernel says. */
function verdictOn(name: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'trace', 'import', record(name)], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  return stdout;
}

it('the import of a Linux 6.12 record shows a call that sleeps although a thread is free', () => {
  const verdict = verdictOn('2');
  expect(verdict).toMatch(/^STARVED/);
  expect(verdict).toMatch(/sleep in the queue although 1 of 2 threads are free/);
  expect(verdict).toMatch(/short-\d+ #\d+ sleeps in the queue/);
  expect(verdict).toMatch(/thread 0: long-\d+ #\d+, in RPC CMD/);
});

it('the import shows a system call that does, while the call inside waits for tee-supplicant', () => {
  const verdict = verdictOn('1-deadlock');
  expect(verdict).toMatch(/late-\d+ #\d+ sleeps in the queue/);
  expect(verdict).toMatch(/inside-\d+ #\d+, in RPC CMD .* it waits for an answer of tee-supplicant/);
});

it('the import shows calls that sleep while others complete, after a thread is lost', () => {
  const verdict = verdictOn('3');
  expect(verdict).toMatch(/second-\d+ #\d+ sleeps in the queue while others complete/);
  expect(verdict).toMatch(/refused once/);
  expect(verdict).toMatch(/first-\d+ #\d+ sleeps in the queue/);
});
