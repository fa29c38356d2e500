import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shellWords } from '../../src/ta/build-ta.js';
import { taHeader } from '../../src/ta/index.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { command, repository, TaProject, whyNoKit } from './ta-project.js';

const run = (folder: string, ...args: string[]) =>
  spawnSync(process.execPath, [command, ...args], { cwd: folder, encoding: 'utf8' });

describe('a new project of a trusted application', () => {
  it('is refused for an invalid name, and in a folder that is not empty', async () => {
    using project = await TaProject.make();
    for (const name of ['', 'Adder', '../x', 'a b', '1st', 'a--b', 'a-', 'a'.repeat(65)]) {
      const { status, stderr } = run(project.parent, 'ta', 'new', name);
      expect(status).toBe(2);
      expect(stderr).toContain('cannot be the name');
      expect(stderr).toContain('begins with a lower-case letter, has lower-case letters, digits and single hyphens');
    }
    expect(run(project.parent, 'ta', 'new', 'adder', '--normalworld', '*').stderr).toContain('is not empty');
  });

  it('has a header for C and TypeScript', async () => {
    using project = await TaProject.make();
    const { uuid, numbers } = taHeader(join(project.folder, 'ta/include/adder_ta.h'));
    expect(uuid).toBe(project.uuid);
    expect(numbers).toMatchObject({ TA_ADDER_CMD_ADD: 0, TA_ADDER_CMD_REVERSE: 1 });
    expect(() => numbers.TA_ADDER_CMD_SUBTRACT).toThrow('defines no number TA_ADDER_CMD_SUBTRACT');
    writeFileSync(join(project.folder, 'none.h'), '#define A 1\n');
    expect(() => taHeader(join(project.folder, 'none.h'))).toThrow('has no UUID');
  });

  it('says for each install script whether npm may run it', async () => {
    using project = await TaProject.make();
    const { allowScripts } = JSON.parse(readFileSync(join(project.folder, 'package.json'), 'utf8')) as {
      readonly allowScripts: Readonly<Record<string, boolean>>;
    };
    const { packages } = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean; readonly dev?: boolean }>>;
    };
    const scripted = Object.entries(packages).filter(([, { hasInstallScript, dev }]) => hasInstallScript && !dev);
    const names = scripted.map(([path]) => path.replace(/^.*node_modules\//, '')).filter((name) => name !== '');
    expect(Object.keys(allowScripts)).toEqual(expect.arrayContaining(names));
    expect(names).toContain('koffi');
  });

  it('reports that there is nothing to build', async () => {
    using project = await TaProject.make();
    const { status, stderr } = run(join(project.folder, 'test'), 'ta', 'build');
    expect(status).toBe(1);
    expect(stderr).toContain('normalworld ta new NAME');
  });
});

describe.skipIf(whyNoKit !== undefined)(onRealOptee('a trusted application in C'), () => {
  let project: TaProject;
  beforeAll(async () => {
    project = await TaProject.make();
  });
  afterAll(() => project?.[Symbol.dispose]());

  it('is built, signed, inspected and tested by four commands', { timeout: 300_000 }, () => {
    const built = run(project.folder, 'ta', 'build');
    expect(built.stderr).toBe('');
    expect(built.stdout).toContain(`build/ta/${project.uuid}.ta, built in`);
    expect(run(project.folder, 'ta', 'build').stdout).toContain('unchanged');
    const inspected = run(project.folder, 'ta', 'inspect', '--json', `build/ta/${project.uuid}.ta`);
    expect(inspected.status).toBe(0);
    expect(JSON.parse(inspected.stdout)).toMatchObject([
      { uuid: project.uuid, kind: 'application', heap: 32768, stack: 4096, flags: [], faults: [] },
    ]);
    const tested = run(project.folder, 'ta', 'test', '--', '--reporter=json');
    expect(tested.stderr).toBe('');
    expect(tested.status).toBe(0);
    expect(tested.stdout).toContain('"numPassedTests":8');
    // clangd reads how its file is compiled.
    const commands = JSON.parse(readFileSync(join(project.folder, 'build/compile_commands.json'), 'utf8')) as readonly {
      readonly file: string;
      readonly directory: string;
      readonly arguments: readonly string[];
    }[];
    const ours = commands.find(({ file }) => file === 'adder_ta.c');
    expect(ours?.directory).toBe(join(project.folder, 'ta'));
    expect(
      spawnSync(ours?.arguments[0] ?? '', [...(ours?.arguments.slice(1) ?? []), '-fsyntax-only'], {
        cwd: ours?.directory,
      }).status,
    ).toBe(0);
  });

  it('is not built with a key that cannot be read', async () => {
    using keyless = await TaProject.make('keyless');
    for (const [key, says] of [
      ['package.json', /^normalworld: package\.json is not a key in PEM form: .*\n$/],
      ['nokey.pem', /^normalworld: ENOENT: .*nokey\.pem'\n$/],
    ] as const) {
      const { status, stderr } = run(keyless.folder, 'ta', 'build', '--key', key);
      expect(stderr).toMatch(says);
      expect(status).not.toBe(0);
    }
  });

  it('with an error in its code reports where', { timeout: 300_000 }, async () => {
    using broken = await TaProject.make('broken');
    broken.edit('uint32_t sum = 0;', 'uint32_t sum = 0');
    const { status, stderr } = run(broken.folder, 'ta', 'build');
    expect(status).toBe(1);
    expect(stderr).toMatch(/broken_ta\.c:\d+:\d+: error: expected/);
    expect(existsSync(join(broken.folder, 'build/ta'))).toBe(false);
  });
});

describe('words of a command line', () => {
  it('are those of a shell', () => {
    expect(shellWords(`gcc -DA='"x y"' -DB="a\\"b" c\\ d 'e f'.c`)).toEqual([
      'gcc',
      '-DA="x y"',
      '-DB=a"b',
      'c d',
      'e f.c',
    ]);
  });
});
