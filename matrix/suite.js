import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = ['test/worlds/behaviour.test.ts', 'test/regression'];
/** Of these files, what runs on the real OP-TEE. */
const onReal = /on real OP-TEE|regression group/;

/**
 * The behaviour suite and the port of OP-TEE's regression tests on an OP-TEE.
 * @param environment names the OP-TEE.
 */
export async function runSuite(environment, say) {
  const folder = await mkdtemp(join(tmpdir(), 'normalworld-matrix-'));
  const output = join(folder, 'suite.json');
  const started = performance.now();
  try {
    const child = spawn(
      'npx',
      [
        ...['vitest', 'run', ...files, '--maxWorkers=1', '-t', onReal.source],
        ...['--reporter=json', `--outputFile=${output}`],
      ],
      { cwd: root, env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr.setEncoding('utf8').on('data', say);
    await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    const { testResults } = JSON.parse(await readFile(output, 'utf8'));
    return { ...countOf(testResults), seconds: Math.round((performance.now() - started) / 1000) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Counts, what failed, and what was skipped with its cause. */
function countOf(results) {
  const tests = results
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ fullName }) => onReal.test(fullName));
  const failures = tests
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ test: fullName, says: failureMessages.join('\n').split('\n')[0] }));
  // A file that could not even be loaded has failed as well.
  for (const { status, assertionResults, name, message } of results)
    if (status === 'failed' && assertionResults.length === 0) failures.push({ test: name, says: message });
  const causes = new Map();
  for (const { status, fullName } of tests) {
    if (status === 'passed' || status === 'failed') continue;
    const cause = /\(skipped: ([^)]*)\)/.exec(fullName)?.[1] ?? 'no cause is given';
    causes.set(cause, (causes.get(cause) ?? 0) + 1);
  }
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failed: failures.length,
    failures,
    exceptions: [...causes].map(([cause, tests]) => ({ tests, cause })),
  };
}
