import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The used part of `vitest/node`. A project has its own Vitest, of its own version. */
interface Vitest {
  globTestSpecifications(filters?: readonly string[]): Promise<readonly { readonly moduleId: string }[]>;
  runTestSpecifications(specifications: readonly unknown[], all: boolean): Promise<unknown>;
  standalone(): Promise<void>;
  invalidateFile(path: string): void;
  clearSpecificationsCache(): void;
  close(): Promise<void>;
}

interface VitestModule {
  createVitest(mode: 'test', options: object): Promise<Vitest>;
}

/** Files that Vitest reads only when it starts. */
const configuration = /(?:^|\/)(?:package\.json|tsconfig(?:\.\w+)?\.json|vite(?:st)?\.config\.[cm]?[jt]s)$/;

/** The tests of a project. Its own Vitest stays loaded, because starting it takes longer than most test runs. */
export class ProjectTests implements AsyncDisposable {
  private vitest: Promise<Vitest> | undefined;

  /** @param root the project's folder. */
  constructor(private readonly root: string) {}

  /** Invalidate changed files. @returns whether all tests must run, because the configuration changed. */
  async changed(files: readonly string[]): Promise<boolean> {
    if (files.some((file) => configuration.test(file))) {
      await this[Symbol.asyncDispose]();
      return true;
    }
    const vitest = await this.vitest;
    for (const file of files) vitest?.invalidateFile(join(this.root, file));
    // The change may have added test files.
    if (files.length > 0) vitest?.clearSpecificationsCache();
    return false;
  }

  /**
   * Run tests. Vitest prints the results to standard output.
   * @param files test files relative to the project. Default: all.
   * @throws Error if the project has no Vitest, or one without the needed functions.
   */
  async run(files?: readonly string[]): Promise<void> {
    this.vitest ??= open(this.root);
    const vitest = await this.vitest.catch((error: unknown) => {
      // Try again next time: Vitest may be installed by then, or its configuration repaired.
      this.vitest = undefined;
      throw error;
    });
    const wanted = files === undefined ? undefined : new Set(files.map((file) => join(this.root, file)));
    const all = await vitest.globTestSpecifications();
    const specifications = wanted === undefined ? all : all.filter(({ moduleId }) => wanted.has(moduleId));
    if (specifications.length === 0) console.log('no test to run');
    else await vitest.runTestSpecifications(specifications, files === undefined);
    // Neither a failed test nor the signal that ends the watch is a failure of this command; Vitest would set the exit
    // code for both.
    process.exitCode = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const vitest = await this.vitest?.catch(() => undefined);
    this.vitest = undefined;
    await vitest?.close();
  }
}

async function open(root: string): Promise<Vitest> {
  let path: string;
  try {
    path = createRequire(join(root, 'package.json')).resolve('vitest/node');
  } catch {
    throw new Error(`no Vitest in ${root}/node_modules: npm install --save-dev vitest`);
  }
  const { createVitest } = (await import(pathToFileURL(path).href)) as VitestModule;
  // Changes are reported to Vitest by `changed`, so it need not watch.
  const vitest = await createVitest('test', { root, watch: false });
  if (typeof vitest.runTestSpecifications !== 'function' || typeof vitest.standalone !== 'function')
    throw new Error(`the Vitest in ${root}/node_modules is too old to watch with: npm install --save-dev vitest@4`);
  await vitest.standalone();
  return vitest;
}
