import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { command, TaProject, whyNoKit } from './ta-project.js';

/** `normalworld ta watch` in a folder, and what it says. */
class Watch implements AsyncDisposable {
  private said = '';
  private told = () => {};
  readonly child: ChildProcess;

  constructor(folder: string, env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [command, 'ta', 'watch'], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.said += chunk.toString();
        this.told();
      });
    this.child.once('exit', () => this.told());
  }

  /** Wait until the output since the last call matches. @returns that output. */
  async hears(what: RegExp): Promise<string> {
    while (!what.test(this.said)) {
      if (this.child.exitCode !== null) throw new Error(this.said);
      await new Promise<void>((resolve) => {
        this.told = resolve;
      });
    }
    const said = this.said;
    this.said = '';
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null) return;
    const over = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGINT');
    await over;
  }
}

const result = /from the change to the result/;
const after = (what: string) => new RegExp(`${what}[\\s\\S]*${result.source}`);

/** Add an application to a project: a copy of its own with another name, UUID and test. @returns its UUID. */
function addApplication(project: TaProject, name: string, folder = name): string {
  const uuid = project.uuid.replace(/^.{8}/, '0badf00d');
  const renamed = (text: string) =>
    text
      .replaceAll(project.uuid.slice(0, 8), '0badf00d')
      .replaceAll(`${project.name}_ta`, `${name}_ta`)
      .replaceAll(`TA_${project.name.toUpperCase()}`, `TA_${name.toUpperCase()}`)
      .replaceAll('ta/include', `${folder}/include`)
      .replaceAll('./model.js', `./${name}-model.js`);
  // It is moved into place when it is complete, as a watch builds what it finds.
  const work = join(project.parent, 'work');
  cpSync(join(project.folder, 'ta'), work, { recursive: true });
  for (const file of ['include/X_ta.h', 'X_ta.c', 'Makefile', 'sub.mk', 'user_ta_header_defines.h']) {
    const old = join(work, file.replace('X', project.name));
    const text = renamed(readFileSync(old, 'utf8'));
    rmSync(old);
    writeFileSync(join(work, file.replace('X', name)), text);
  }
  for (const [old, now] of [
    ['model.ts', `${name}-model.ts`],
    [`${project.name}.test.ts`, `${name}.test.ts`],
  ] as const)
    writeFileSync(join(project.folder, 'test', now), renamed(readFileSync(join(project.folder, 'test', old), 'utf8')));
  renameSync(work, join(project.folder, folder));
  return uuid;
}

const images = (project: TaProject) =>
  readdirSync(join(project.folder, 'build/ta'))
    .filter((file) => file.endsWith('.ta'))
    .sort();

describe.skipIf(whyNoKit !== undefined)(onRealOptee('a watched project'), () => {
  it('is built and tested again when it changes, and a test alone when that changes', {
    timeout: 600_000,
  }, async () => {
    using project = await TaProject.make();
    const watch = new Watch(project.folder);
    {
      await using _watch = watch;
      await watch.hears(/watching/);
      project.edit('params[0].value.a = sum;', 'params[0].value.a = sum + 1;');
      await watch.hears(after('built in[\\s\\S]*expected 43 to be 42'));
      project.edit('params[0].value.a = sum + 1;', 'params[0].value.a = sum;');
      await watch.hears(after('built in[\\s\\S]*8 passed'));
      const test = join(project.folder, 'test/adder.test.ts');
      writeFileSync(test, readFileSync(test, 'utf8').replace('toBe(42)', 'toBe(41)'));
      await watch.hears(after('expected 42 to be 41'));
      writeFileSync(test, readFileSync(test, 'utf8').replace('toBe(41)', 'toBe(42)'));
      await watch.hears(after('8 passed'));
    }
    expect(watch.child.exitCode).toBe(0);
  });

  it("shows the colours of Vitest's report", { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    await using watch = new Watch(project.folder, { FORCE_COLOR: '1' });
    const said = await watch.hears(/watching/);
    expect(said).toContain('\x1b[32m');
    expect(said).not.toContain('\\x1b');
  });

  it('says that an application which could not be built was not tested', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    await using watch = new Watch(project.folder);
    await watch.hears(/watching/);
    project.edit('uint32_t sum = 0;', 'uint32_t sum = 0');
    await watch.hears(/adder could not be built/);
    const model = join(project.folder, 'test/model.ts');
    writeFileSync(model, `${readFileSync(model, 'utf8')}\n`);
    // Two pipes: their order is not kept.
    await watch.hears(/(?=[\s\S]*8 passed)(?=[\s\S]*adder: its last build failed)(?=[\s\S]*from the change)/);
    project.edit('uint32_t sum = 0\n', 'uint32_t sum = 0;\n');
    expect(await watch.hears(after('8 passed'))).not.toContain('last build failed');
  });

  it('takes in an application that is added, and forgets one that is removed', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    await using watch = new Watch(project.folder);
    await watch.hears(/watching/);
    const uuid = addApplication(project, 'second');
    await watch.hears(after('second: build/ta/0badf00d.*built in[\\s\\S]*8 passed'));
    expect(images(project)).toEqual([`${uuid}.ta`, `${project.uuid}.ta`].sort());
    rmSync(join(project.folder, 'second'), { recursive: true });
    await watch.hears(new RegExp(`second: its sources no longer exist; ${uuid}\\.ta is removed too`));
    expect(images(project)).toEqual([`${project.uuid}.ta`]);
  });
});

describe.skipIf(whyNoKit !== undefined)(onRealOptee('the images of a project'), () => {
  const build = (project: TaProject) =>
    spawnSync(process.execPath, [command, 'ta', 'build'], { cwd: project.folder, encoding: 'utf8' });

  it('are those of the UUIDs that its makefiles name now', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    build(project);
    expect(images(project)).toEqual([`${project.uuid}.ta`]);
    for (const [from, to] of [
      [project.uuid.slice(0, 8), '0badf00d'],
      ['0badf00d', project.uuid.slice(0, 8)],
    ] as const) {
      for (const file of ['ta/Makefile', 'ta/include/adder_ta.h']) {
        const path = join(project.folder, file);
        writeFileSync(path, readFileSync(path, 'utf8').replaceAll(from, to));
      }
      expect(build(project).stdout).toMatch(new RegExp(`^adder: build/ta/${to}.*\\.ta, built in`));
      expect(images(project)).toEqual([`${to}${project.uuid.slice(8)}.ta`]);
    }
  });

  it('are removed with the sources, by the next build too', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    const uuid = addApplication(project, 'second');
    build(project);
    expect(images(project)).toHaveLength(2);
    rmSync(join(project.folder, 'second'), { recursive: true });
    expect(build(project).stdout).toContain(`${uuid}.ta is removed too`);
    expect(images(project)).toEqual([`${project.uuid}.ta`]);
    expect(existsSync(join(project.folder, `build/ta/${uuid}.elf`))).toBe(false);
  });

  it('of applications in folders of the same name are built apart', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    renameSync(join(project.folder, 'ta'), join(project.folder, 'one'));
    cpSync(join(project.folder, 'one'), join(project.folder, 'ta'), { recursive: true });
    addApplication(project, 'second', 'other');
    rmSync(join(project.folder, 'ta'), { recursive: true });
    for (const [from, to] of [
      ['one', 'left/keys'],
      ['other', 'right/keys'],
    ] as const)
      cpSync(join(project.folder, from), join(project.folder, to), { recursive: true });
    for (const folder of ['one', 'other']) rmSync(join(project.folder, folder), { recursive: true });
    const { stdout, stderr } = build(project);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^left\/keys: .*built in[\s\S]*^right\/keys: .*built in/m);
    expect(images(project)).toHaveLength(2);
    expect(build(project).stdout.match(/unchanged/g)).toHaveLength(2);
  });
});
