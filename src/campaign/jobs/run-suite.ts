import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { startProcess } from '../../processes/start-process.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const files = ['test/worlds/behaviour.test.ts', 'test/regression'];
/** The tests in these files that run on the real OP-TEE. */
const onReal = /on real OP-TEE|regression group/;

/** The part of the Vitest JSON report that is used here. */
const report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).default([]) }),
      ),
    }),
  ),
});

export interface SuiteOutcome {
  readonly passed: number;
  /** Failed tests, and test files that could not be loaded. */
  readonly failures: readonly { readonly test: string; readonly says: string }[];
  /** Full names of skipped tests. */
  readonly skipped: readonly string[];
  readonly seconds: number;
}

/**
 * Run the behaviour suite and the port of OP-TEE's regression tests on a real OP-TEE, with the Vitest of this clone.
 * @param environment selects the OP-TEE, and overrides this process's environment.
 * @param folder for the report.
 * @param say called with Vitest's output on stderr.
 * @throws Error if this is not a clone, or Vitest does not run.
 */
export async function runSuite(
  environment: NodeJS.ProcessEnv,
  folder: string,
  say: (text: string) => void = () => undefined,
): Promise<SuiteOutcome> {
  const absent = files.find((file) => !existsSync(join(root, file)));
  if (absent !== undefined) throw new Error(`the behaviour suite is in a clone of normalworld: here is no ${absent}`);
  const output = join(folder, 'suite.json');
  const started = performance.now();
  await new Promise<void>((done, reject) => {
    const child = startProcess(
      'npx',
      [
        ...['vitest', 'run', ...files, '--maxWorkers=1', '-t', onReal.source],
        ...['--reporter=json', `--outputFile=${output}`],
      ],
      { cwd: root, env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr.setEncoding('utf8').on('data', say);
    child.once('error', reject);
    child.once('close', () => done());
  });
  if (!existsSync(output)) throw new Error('the behaviour suite did not run: npm ci, and npx vitest run says why');
  const { testResults } = report.parse(JSON.parse(readRegularFileSync(output).toString()));
  const tests = testResults.flatMap((each) => each.assertionResults).filter(({ fullName }) => onReal.test(fullName));
  const failed = tests
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ test: fullName, says: firstLine(failureMessages.join('\n')) }));
  const notLoaded = testResults
    .filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
    .map(({ name, message = '' }) => ({ test: name, says: firstLine(message) }));
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failures: [...failed, ...notLoaded],
    skipped: tests.filter(({ status }) => status !== 'passed' && status !== 'failed').map(({ fullName }) => fullName),
    seconds: (performance.now() - started) / 1000,
  };
}

const firstLine = (text: string) => text.split('\n', 1)[0] ?? '';
