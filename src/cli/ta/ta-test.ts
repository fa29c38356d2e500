import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { mergeCoverage } from '../../coverage/merge-coverage.js';
import { findTaSources, projectRoot, type TaSources } from '../../ta/ta-sources.js';
import { testsOf, watchChanges } from '../../ta/watch-tas.js';
import { tellFailure } from '../output/failure.js';
import { addTaBuildOptions, buildOne, type TaBuildOptions } from './ta-build.js';

interface Project {
  readonly root: string;
  readonly applications: readonly TaSources[];
}

async function projectIn(folder: string): Promise<Project> {
  const applications = await findTaSources(folder);
  return { root: projectRoot(applications[0]?.folder ?? folder), applications };
}

/** `normalworld ta test`. */
export function addTaTestCommand(ta: Command): void {
  const command = ta
    .command('test')
    .summary('build, then run the tests of the project')
    .description('Builds the trusted applications of the project in this folder, then runs its tests with Vitest.')
    .argument('[args...]', "Vitest's own arguments, after --")
    .option(
      '--coverage',
      'measure which lines of the C code run in OP-TEE: build/coverage/lcov.info, with what Vitest left in coverage/lcov.info',
    );
  addTaBuildOptions(command)
    .addHelpText(
      'after',
      `
Exit codes:
  *  Vitest's own: 0 when all passed, 1 when not
  1  also: a trusted application could not be built
  2  bad usage

Examples:
  $ normalworld ta test
  $ normalworld ta test --coverage
  $ normalworld ta test -- -t 'refuses' --reporter=junit`,
    )
    .action(async (args: readonly string[], options: TaBuildOptions & { readonly coverage?: boolean }) => {
      try {
        const { root, applications } = await projectIn('.');
        for (const sources of applications) await buildOne(sources, options);
        if (!options.coverage) {
          process.exitCode = await vitest(root, ['run', ...args]);
          return;
        }
        const folder = join(root, 'build/coverage');
        await rm(folder, { recursive: true, force: true });
        process.exitCode = await vitest(root, ['run', ...args], { NORMALWORLD_COVERAGE: join(folder, 'parts') });
        const into = join(folder, 'lcov.info');
        const summaries = await mergeCoverage(join(folder, 'parts'), [join(root, 'coverage/lcov.info')], into);
        for (const { file, lines, hit } of summaries)
          console.log(
            `${((100 * hit) / lines).toFixed(1).padStart(5)} %  ${hit} of ${lines} lines  ${relative(root, file)}`,
          );
        console.log(`coverage: ${relative('.', into)}`);
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

/** `normalworld ta watch`. */
export function addTaWatchCommand(ta: Command): void {
  const command = ta
    .command('watch')
    .summary('build and test again at each change, only what depends on it')
    .description(
      'Builds and tests, then waits: a changed source builds its trusted application anew and runs the tests that name it; a ' +
        'changed test, or what one imports, runs that test. Each run boots a fresh OP-TEE: no instance of the old code is left. Ctrl-C ends it.',
    );
  addTaBuildOptions(command)
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by Ctrl-C
  1  there is nothing to watch
  2  bad usage

Examples:
  $ normalworld ta watch`,
    )
    .action(async (options: TaBuildOptions) => {
      try {
        await watchProject(await projectIn('.'), options);
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

async function watchProject(project: Project, options: TaBuildOptions): Promise<void> {
  const { root, applications } = project;
  const uuids = new Map<TaSources, string>();
  /** @returns whether its tests are worth running. */
  const build = async (sources: TaSources) => {
    try {
      const { uuid, changed } = await buildOne(sources, options);
      const isNew = !uuids.has(sources);
      uuids.set(sources, uuid);
      return changed || isNew;
    } catch (failure) {
      console.error((failure as Error).message);
      return false;
    }
  };
  let worth = false;
  for (const sources of applications) worth = (await build(sources)) || worth;
  if (worth) await vitest(root, ['run']);
  const stop = watchChanges(root, applications, async (changes) => {
    const started = performance.now();
    const tests = new Set<string>();
    let all = false;
    for (const sources of changes.applications) {
      if (!(await build(sources))) continue;
      const named = await testsOf(root, sources, uuids.get(sources) ?? '');
      for (const test of named) tests.add(test);
      // Who names it in no way that is seen here may depend on it all the same.
      all ||= named.length === 0;
    }
    if (all) await vitest(root, ['run']);
    else if (tests.size > 0) await vitest(root, ['run', ...tests]);
    if (changes.files.length > 0 && !all)
      await vitest(root, ['related', '--run', '--passWithNoTests', ...changes.files.map((file) => join(root, file))]);
    if (all || tests.size > 0 || changes.files.length > 0)
      console.log(`from the change to the verdict: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
  console.log(`watching ${relative('.', root) || '.'}: ${applications.map(({ name }) => name).join(', ')}`);
  await new Promise<void>((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  stop();
}

/** @returns its exit code. */
function vitest(root: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const program = resolve(root, 'node_modules/vitest/vitest.mjs');
  if (!existsSync(program))
    return Promise.reject(new Error(`no Vitest in ${root}/node_modules: npm install --save-dev vitest`));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
