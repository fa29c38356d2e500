import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { coverageFiles } from '../../coverage/coverage-of-tee.js';
import { type CoverageSummary, mergeCoverage } from '../../coverage/merge-coverage.js';
import { mergeProfiles } from '../../coverage/merge-profiles.js';
import { startProcess } from '../../processes/start-process.js';
import { tellFailure } from '../output/failure.js';
import { addTaBuildOptions, buildOne, forgetRemoved, type TaBuildOptions } from './ta-build.js';
import { projectIn, useOptee } from './ta-project.js';

interface TaTestOptions extends TaBuildOptions {
  readonly coverage?: boolean;
  readonly flameGraph?: boolean;
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
        await forgetRemoved(root, options);
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
  const isOwn = ({ file }: CoverageSummary) => file.startsWith(root + sep);
  for (const each of summaries.filter(isOwn)) console.log(`${coverageText([each])}  ${relative(root, each.file)}`);
  // Sources of libraries, if their ELF was built with line information: a kit of `optee build` has such.
  const others = summaries.filter((each) => !isOwn(each));
  if (others.length > 0) console.log(`${coverageText(others)}  in ${others.length} files outside the project`);
  console.log(summaries.length === 0 ? 'coverage: no code with an ELF ran' : `coverage: ${relative('.', into)}`);
  const core = join(folder, 'core.info');
  const ofCore = await mergeCoverage(parts, coverageFiles.core, [], core);
  if (ofCore.length === 0) return;
  console.log(`${coverageText(ofCore)}  of OP-TEE itself: ${relative('.', core)}`);
}

function coverageText(summaries: readonly CoverageSummary[]): string {
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const [hit, lines] = [sum(summaries.map(({ hit }) => hit)), sum(summaries.map(({ lines }) => lines))];
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
