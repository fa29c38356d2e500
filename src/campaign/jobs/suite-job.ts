import { spawnSync } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { jobImage } from '../job-image.js';
import type { ResultOf } from '../job-result.js';
import type { JobOf } from '../plan.js';
import { runSuite } from './run-suite.js';

const program = 'qemu-system-aarch64';

/**
 * Run the behaviour suite and the port of OP-TEE's regression tests on one OP-TEE with one version of QEMU.
 * @param qemus QEMU programs on this machine; a job selects one by version.
 * @throws Error if this is not a clone, or the QEMU version is not installed.
 */
export async function runSuiteJob(
  { optee, qemu }: JobOf<'suite'>,
  folder: string,
  qemus: readonly string[],
): Promise<ResultOf<'suite'>> {
  const { image } = await jobImage(optee === '' ? {} : { optee });
  const found = qemuOf(qemu, qemus);
  // QEMU is found in PATH, so put the requested version there first.
  symlinkSync(found.path, join(folder, program));
  const environment = {
    NORMALWORLD_OPTEE: dirname(image),
    PATH: [folder, process.env.PATH].join(delimiter),
  };
  const { passed, failures, skipped, seconds } = await runSuite(environment, folder);
  return {
    ...{ kind: 'suite', optee, qemu: found.version, seconds, passed, skipped: skipped.length },
    failures: failures.map(({ test, says }) => `${test}: ${says}`),
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
