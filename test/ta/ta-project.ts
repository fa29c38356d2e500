import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type BuiltTa, buildTa, findKit, findTaSources } from '../../src/ta/index.js';
import { newTaProject } from '../../src/ta/new-project.js';
import { opteeFolder } from '../../src/worlds/qemu/optee-folder.js';
import { whyNot } from '../worlds/qemu/real-optee.js';

export const repository = resolve(import.meta.dirname, '../..');
export const command = join(repository, 'dist/cli/main.js');

/** Why no application can be built here; undefined when one can. */
export const whyNoKit: string | undefined =
  whyNot ??
  (!existsSync(opteeFolder().kit)
    ? 'no TA dev kit: npx normalworld optee fetch'
    : spawnSync('aarch64-linux-gnu-gcc', ['--version']).status !== 0 && process.arch !== 'arm64'
      ? 'no aarch64-linux-gnu-gcc'
      : undefined);

/** A project as `ta new` makes it, with this package's own modules. */
export class TaProject implements Disposable {
  readonly parent = mkdtempSync(join(tmpdir(), 'normalworld-ta-'));
  readonly folder: string;
  uuid = '';

  private constructor(readonly name: string) {
    this.folder = join(this.parent, name);
  }

  static async make(name = 'adder'): Promise<TaProject> {
    const project = new TaProject(name);
    project.uuid = await newTaProject(name, project.folder, '*');
    const modules = join(project.folder, 'node_modules');
    mkdirSync(modules);
    for (const each of ['vitest', 'typescript', '@types', 'vite'])
      symlinkSync(join(repository, 'node_modules', each), join(modules, each));
    symlinkSync(repository, join(modules, 'normalworld'));
    return project;
  }

  /** Replace text in the application's C code. */
  edit(from: string | RegExp, to: string): void {
    const path = join(this.folder, `ta/${this.name}_ta.c`);
    const text = readFileSync(path, 'utf8');
    const changed = text.replace(from, to);
    if (changed === text) throw new Error(`${from} is not in ${path}`);
    writeFileSync(path, changed);
  }

  async build(key?: string): Promise<BuiltTa> {
    const [sources] = await findTaSources(this.folder);
    if (sources === undefined) throw new Error('no sources');
    return buildTa(sources, { kit: await findKit(undefined), into: join(this.folder, 'build'), key });
  }

  [Symbol.dispose](): void {
    rmSync(this.parent, { recursive: true, force: true });
  }
}
