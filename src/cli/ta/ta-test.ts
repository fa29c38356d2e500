import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { coverageFiles } from '../../coverage/coverage-of-tee.js';
import { mergeCoverage } from '../../coverage/merge-coverage.js';
import { mergeProfiles } from '../../coverage/merge-profiles.js';
import { opteeNamed } from '../../optee-build/built-optee.js';
import { startProcess } from '../../processes/start-process.js';
import { findKit } from '../../ta/find-kit.js';
import { ProjectTests } from '../../ta/project-tests.js';
import { findTaSources, projectRoot, type TaSources } from '../../ta/ta-sources.js';
import { testsOf, testsWith, watchChanges } from '../../ta/watch-tas.js';
import { tellFailure } from '../output/failure.js';
import { addTaBuildOptions, buildOne, type TaBuildOptions } from './ta-build.js';

interface Project {
  readonly root: string;
  readonly applications: readonly TaSources[];
}

interface TaTestOptions extends TaBuildOptions {
  readonly coverage?: boolean;
  readonly flameGraph?: boolean;
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
      'measure which lines of the C code run in OP-TEE: build/coverage/lcov.info, merged with coverage/lcov.info of Vitest',
    );
  command.option(
    '--flame-graph',
    'count the instructions that run in OP-TEE by call stack, and the stack depth: build/profile/',
  );
  addTaBuildOptions(command)
    .addHelpText(
      'after',
      `
Exit codes:
  *  Vitest's own: 0 if all tests passed, 1 if not
  1  also: a trusted application could not be built
  2  bad usage

Examples:
  $ normalworld ta test
  $ normalworld ta test --coverage
  $ normalworld ta test --flame-graph
  $ normalworld ta test -- -t 'refuses' --reporter=junit`,
    )
    .action(async (args: readonly string[], options: TaTestOptions) => {
      try {
        const { root, applications } = await projectIn('.');
        for (const sources of applications) await buildOne(sources, options);
        await useOptee(options.optee);
        process.exitCode = await vitest(root, ['run', ...args], await measuring(root, options));
        if (options.coverage) await tellCoverage(root);
        if (options.flameGraph) await tellProfile(root);
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

/** The environment for Vitest that selects measurements and their folders. */
async function measuring(root: string, { coverage, flameGraph }: TaTestOptions): Promise<NodeJS.ProcessEnv> {
  if (coverage) await rm(coverageFolder(root), { recursive: true, force: true });
  if (flameGraph) await rm(profileFolder(root), { recursive: true, force: true });
  return {
    ...(coverage ? { NORMALWORLD_COVERAGE: join(coverageFolder(root), 'parts') } : {}),
    ...(flameGraph ? { NORMALWORLD_FLAME_GRAPH: join(profileFolder(root), 'parts') } : {}),
  };
}

const coverageFolder = (root: string) => join(root, 'build/coverage');
const profileFolder = (root: string) => join(root, 'build/profile');

async function tellCoverage(root: string): Promise<void> {
  const [folder, parts] = [coverageFolder(root), join(coverageFolder(root), 'parts')];
  const into = join(folder, 'lcov.info');
  const summaries = await mergeCoverage(parts, coverageFiles.applications, [join(root, 'coverage/lcov.info')], into);
  for (const { file, lines, hit } of summaries) console.log(`${coverageText(hit, lines)}  ${relative(root, file)}`);
  console.log(summaries.length === 0 ? 'coverage: no code with an ELF ran' : `coverage: ${relative('.', into)}`);
  const core = join(folder, 'core.info');
  const ofCore = await mergeCoverage(parts, coverageFiles.core, [], core);
  if (ofCore.length === 0) return;
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const text = coverageText(sum(ofCore.map(({ hit }) => hit)), sum(ofCore.map(({ lines }) => lines)));
  console.log(`${text}  of OP-TEE itself: ${relative('.', core)}`);
}

function coverageText(hit: number, lines: number): string {
  return `${((100 * hit) / lines).toFixed(1).padStart(5)} %  ${hit} of ${lines} lines`;
}

const shownFunctions = 10;

async function tellProfile(root: string): Promise<void> {
  const folder = profileFolder(root);
  const { functions, total, marks, files } = await mergeProfiles(join(folder, 'parts'), folder, basename(root));
  for (const { name, self } of functions.slice(0, shownFunctions))
    console.log(`${((100 * self) / total).toFixed(1).padStart(5)} %  ${self} instructions  ${name}`);
  for (const { uuid, used, size } of marks) console.log(`stack: ${used} of ${size} bytes  ${uuid}`);
  console.log(`profile: ${files.map((file) => relative('.', file)).join(', ')}`);
}

/** `normalworld ta watch`. */
export function addTaWatchCommand(ta: Command): void {
  const command = ta
    .command('watch')
    .summary('at each change, build and test again what depends on it')
    .description(
      'Builds and tests, then waits for changes. A changed source rebuilds its trusted application and runs the tests that name it; a ' +
        'changed test, or a file that it imports, runs that test. Each run boots a fresh OP-TEE, so no instance of the old code remains. Ctrl-C ends it.',
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
  /** @returns whether its tests should run. */
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
  await useOptee(options.optee);
  await using tests = new ProjectTests(root);
  const run = async (files?: readonly string[]) => {
    try {
      await tests.run(files);
    } catch (failure) {
      console.error((failure as Error).message);
    }
  };
  let worth = false;
  for (const sources of applications) worth = (await build(sources)) || worth;
  if (worth) await run();
  const stop = await watchChanges(root, applications, async (changes) => {
    const started = performance.now();
    const wanted = new Set<string>();
    let all = await tests.changed(changes.files);
    for (const sources of changes.applications) {
      if (!(await build(sources))) continue;
      const named = await testsOf(root, sources, uuids.get(sources) ?? '');
      for (const test of named) wanted.add(test);
      // A test file that refers to no application in a recognised way may depend on any of them.
      all ||= named.length === 0;
    }
    for (const test of await testsWith(root, changes.files)) wanted.add(test);
    if (all) await run();
    else if (wanted.size > 0) await run([...wanted]);
    if (all || wanted.size > 0)
      console.log(`from the change to the result: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
  console.log(`watching ${relative('.', root) || '.'}: ${applications.map(({ name }) => name).join(', ')}`);
  await new Promise<void>((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  stop();
}

/** Run the tests with the OP-TEE that the applications are built for. */
async function useOptee(name: string | undefined): Promise<void> {
  if (name === undefined) return;
  const { folder } = await opteeNamed(name);
  if (folder === undefined)
    throw new RangeError(`--optee ${name}: tests find an OP-TEE by its folder; give a name from optee list`);
  // Find the kit before the selected OP-TEE replaces the fetched one.
  process.env.TA_DEV_KIT_DIR = await findKit(name);
  process.env.NORMALWORLD_OPTEE = folder;
}

/** @returns the exit code. */
function vitest(root: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const program = resolve(root, 'node_modules/vitest/vitest.mjs');
  if (!existsSync(program))
    return Promise.reject(new Error(`no Vitest in ${root}/node_modules: npm install --save-dev vitest`));
  return new Promise((resolve, reject) => {
    const child = startProcess(process.execPath, [program, ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
