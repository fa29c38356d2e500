import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What is used of `vitest/node`: a project has its own Vitest, of a version of its own. */
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

/** What Vitest reads once, when it starts. */
const configuration = /(?:^|\/)(?:package\.json|tsconfig(?:\.\w+)?\.json|vite(?:st)?\.config\.[cm]?[jt]s)$/;

/** The tests of a project, by its own Vitest, which stays: starting it takes longer than most of what it runs. */
export class ProjectTests implements AsyncDisposable {
  private vitest: Promise<Vitest> | undefined;

  /** @param root the project's folder. */
  constructor(private readonly root: string) {}

  /** What of a change is asked anew: @returns whether all depends on it. */
  async changed(files: readonly string[]): Promise<boolean> {
    if (files.some((file) => configuration.test(file))) {
      await this[Symbol.asyncDispose]();
      return true;
    }
    const vitest = await this.vitest;
    for (const file of files) vitest?.invalidateFile(join(this.root, file));
    // There may be other files than before.
    if (files.length > 0) vitest?.clearSpecificationsCache();
    return false;
  }

  /**
   * Run them. What comes of it Vitest tells on standard output.
   * @param files those of these files, relative to the project; all when left out.
   * @throws Error when the project has no Vitest, or none that stays.
   */
  async run(files?: readonly string[]): Promise<void> {
    this.vitest ??= open(this.root);
    const vitest = await this.vitest.catch((error: unknown) => {
      // It may be installed, or the configuration mended, by the next time.
      this.vitest = undefined;
      throw error;
    });
    const wanted = files === undefined ? undefined : new Set(files.map((file) => join(this.root, file)));
    const all = await vitest.globTestSpecifications();
    const specifications = wanted === undefined ? all : all.filter(({ moduleId }) => wanted.has(moduleId));
    if (specifications.length === 0) console.log('no test to run');
    else await vitest.runTestSpecifications(specifications, files === undefined);
    // A failed test is no failure of who watches, and neither is the signal that ends it, which Vitest would make one.
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
  // Who watches tells it what has changed.
  const vitest = await createVitest('test', { root, watch: false });
  if (typeof vitest.runTestSpecifications !== 'function' || typeof vitest.standalone !== 'function')
    throw new Error(`the Vitest in ${root}/node_modules is too old to watch with: npm install --save-dev vitest@4`);
  await vitest.standalone();
  return vitest;
}
