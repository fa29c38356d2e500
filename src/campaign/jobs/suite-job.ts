import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { jobImage } from '../job-image.js';
import type { ResultOf } from '../job-result.js';
import type { JobOf } from '../plan.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const files = ['test/worlds/behaviour.test.ts', 'test/regression'];
/** Of these files, what runs on the real OP-TEE. */
const onReal = /on real OP-TEE|regression group/;
const program = 'qemu-system-aarch64';

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

/**
 * The behaviour suite and the port of OP-TEE's regression tests, on an OP-TEE, in a QEMU.
 * @param qemus programs of this machine; a job names one of them by its version.
 * @throws Error when this is no clone, or there is no such QEMU.
 */
export async function runSuiteJob(
  { optee, qemu }: JobOf<'suite'>,
  folder: string,
  qemus: readonly string[],
): Promise<ResultOf<'suite'>> {
  const absent = files.find((file) => !existsSync(join(root, file)));
  if (absent !== undefined) throw new Error(`the behaviour suite is in a clone of normalworld: here is no ${absent}`);
  const { image } = await jobImage(optee === '' ? {} : { optee });
  const found = qemuOf(qemu, qemus);
  // It is found by its name: that of the version that is wanted comes first.
  symlinkSync(found.path, join(folder, program));
  const output = join(folder, 'suite.json');
  const env = {
    ...process.env,
    NORMALWORLD_OPTEE: dirname(image),
    PATH: [folder, process.env.PATH].join(delimiter),
  };
  const begun = performance.now();
  await new Promise<void>((done, reject) => {
    const child = spawn(
      'npx',
      [
        ...['vitest', 'run', ...files, '--maxWorkers=1', '-t', onReal.source],
        ...['--reporter=json', `--outputFile=${output}`],
      ],
      { cwd: root, env, stdio: 'ignore' },
    );
    child.once('error', reject);
    child.once('close', () => done());
  });
  if (!existsSync(output)) throw new Error('the behaviour suite did not run: npm ci, and npx vitest run says why');
  const { testResults } = report.parse(JSON.parse(readFileSync(output, 'utf8')));
  const tests = testResults.flatMap((each) => each.assertionResults).filter(({ fullName }) => onReal.test(fullName));
  const count = (status: string) => tests.filter((each) => each.status === status).length;
  const failures = [
    ...tests
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('\n').split('\n')[0]}`),
    // A file that could not even be loaded has failed as well.
    ...testResults
      .filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
      .map(({ name, message = '' }) => `${name}: ${message.split('\n')[0]}`),
  ];
  const passed = count('passed');
  const seconds = (performance.now() - begun) / 1000;
  return {
    ...{ kind: 'suite', optee, qemu: found.version, seconds, passed },
    ...{ skipped: tests.length - passed - count('failed'), failures },
  };
}

function qemuOf(wanted: string, programs: readonly string[]): { readonly path: string; readonly version: string } {
  const versions: string[] = [];
  for (const each of programs.length === 0 ? [program] : programs) {
    const version = /version (\S+)/.exec(spawnSync(each, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1];
    if (version === undefined) continue;
    versions.push(version);
    if (wanted === '' || version === wanted || version.startsWith(`${wanted}.`)) return { path: pathOf(each), version };
  }
  throw new Error(
    `no QEMU ${wanted} here, but ${versions.join(', ') || 'none'}: campaign work --qemu PROGRAM names another`,
  );
}

function pathOf(name: string): string {
  if (name.includes('/')) return resolve(name);
  const folder = (process.env.PATH ?? '').split(delimiter).find((each) => existsSync(join(each, name)));
  return join(folder ?? '/', name);
}
