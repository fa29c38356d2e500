import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../../bench/explore-mutants.js', import.meta.url));

it('every mutant of hand-off is caught under each of its policies', {
  timeout: 900_000,
}, () => {
  // Throws when the script says that a mutant lives.
  const output = execFileSync(process.execPath, [SCRIPT], { encoding: 'utf8', timeout: 900_000 });
  const [, caught, all] = /(\d+) of (\d+) mutants caught/.exec(output) ?? [];
  expect(caught).toBe(all);
  expect(Number(all)).toBeGreaterThan(100);
});
