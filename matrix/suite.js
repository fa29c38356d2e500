import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSuite as runSuiteIn } from '../dist/campaign/jobs/run-suite.js';

/**
 * Run the behaviour suite and the port of OP-TEE's regression tests on an OP-TEE: counts, failures, and skipped tests
 * with reasons.
 * @param environment selects the OP-TEE.
 */
export async function runSuite(environment, say) {
  const folder = await mkdtemp(join(tmpdir(), 'normalworld-matrix-'));
  try {
    const { passed, failures, skipped, seconds } = await runSuiteIn(environment, folder, say);
    const causes = new Map();
    for (const name of skipped) {
      const cause = /\(skipped: ([^)]*)\)/.exec(name)?.[1] ?? 'no cause is given';
      causes.set(cause, (causes.get(cause) ?? 0) + 1);
    }
    const exceptions = [...causes].map(([cause, tests]) => ({ tests, cause }));
    return { passed, failed: failures.length, failures, exceptions, seconds: Math.round(seconds) };
  } finally {
    await rm(folder, { recursive: true });
  }
}
