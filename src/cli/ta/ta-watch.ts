import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import type { Command } from 'commander';
import { ProjectTests } from '../../ta/project-tests.js';
import { findTaSources, type TaSources } from '../../ta/ta-sources.js';
import { testsNaming, testsOf, testsWith, watchChanges } from '../../ta/watch-tas.js';
import { tellFailure } from '../output/failure.js';
import { letAllPass } from '../output/guard-output.js';
import { addTaBuildOptions, buildOne, forgetRemoved, type TaBuildOptions } from './ta-build.js';
import { type Project, projectIn, useOptee } from './ta-project.js';

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

/** Builds and tests of a project that is watched. */
class WatchedProject implements AsyncDisposable {
  private readonly tests: ProjectTests;
  /** By folder of the sources. */
  private readonly uuids = new Map<string, string>();
  /** Applications whose last build failed, by folder. */
  private readonly broken = new Map<string, string>();

  constructor(
    private readonly root: string,
    private readonly options: TaBuildOptions,
  ) {
    this.tests = new ProjectTests(root);
  }

  /** Build, without an error for errors in the sources. @returns whether its tests should run. */
  async build(sources: TaSources): Promise<boolean> {
    const { folder, name } = sources;
    try {
      const { uuid, changed } = await buildOne(sources, this.options);
      const isNew = this.uuids.get(folder) !== uuid;
      this.uuids.set(folder, uuid);
      return this.broken.delete(folder) || changed || isNew;
    } catch (failure) {
      console.error((failure as Error).message);
      this.broken.set(folder, name);
      return false;
    }
  }

  /** Run tests, by default all. */
  async test(files?: readonly string[]): Promise<void> {
    try {
      await letAllPass(() => this.tests.run(files));
    } catch (failure) {
      console.error((failure as Error).message);
    }
    for (const name of this.broken.values())
      console.error(`${name}: its last build failed. The tests ran without it, or with the image built before`);
  }

  /** Build and test what changed, was added or was removed. */
  async changed(applications: readonly TaSources[], files: readonly string[]): Promise<void> {
    const started = performance.now();
    const wanted = new Set<string>(await this.forgetRemoved());
    let all = await letAllPass(() => this.tests.changed(files));
    for (const sources of applications) {
      if (!(await this.build(sources))) continue;
      const named = await testsOf(this.root, sources, this.uuids.get(sources.folder) ?? '');
      for (const test of named) wanted.add(test);
      // A test file that refers to no application in a recognised way may depend on any of them.
      all ||= named.length === 0;
    }
    for (const test of await testsWith(this.root, files)) wanted.add(test);
    if (!all && wanted.size === 0) return;
    await this.test(all ? undefined : [...wanted]);
    console.log(`from the change to the result: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }

  /** @returns the tests that name a removed application. */
  private async forgetRemoved(): Promise<readonly string[]> {
    const uuids = await forgetRemoved(this.root, this.options);
    for (const [folder, uuid] of this.uuids) if (uuids.includes(uuid)) this.uuids.delete(folder);
    for (const folder of this.broken.keys()) if (!existsSync(folder)) this.broken.delete(folder);
    return uuids.length === 0 ? [] : testsNaming(this.root, uuids);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await letAllPass(() => this.tests[Symbol.asyncDispose]());
  }
}

async function watchProject({ root, applications }: Project, options: TaBuildOptions): Promise<void> {
  await useOptee(options.optee);
  await using project = new WatchedProject(root, options);
  await forgetRemoved(root, options);
  let worth = false;
  for (const sources of applications) worth = (await project.build(sources)) || worth;
  if (worth) await project.test();
  const stop = await watchChanges(
    root,
    () => findTaSources('.').catch(() => []),
    ({ applications, files }) => project.changed(applications, files),
  );
  console.log(`watching ${relative('.', root) || '.'}: ${applications.map(({ name }) => name).join(', ')}`);
  await new Promise<void>((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  stop();
}
