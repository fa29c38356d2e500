import { execFile, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { newTaProject } from '../../src/ta/new-project.js';
import { cacheFolder } from '../../src/worlds/qemu/optee-folder.js';
import { blocks } from '../docs/blocks.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { command, repository, whyNoKit } from './ta-project.js';

const isRoot = process.getuid?.() === 0;
const nobody = 65_534;
const asNobody = ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups'];
/** A clone below a folder of root's alone is not to be read by him. */
const canUnshare =
  isRoot &&
  spawnSync('unshare', ['--mount', 'true']).status === 0 &&
  spawnSync('setpriv', [...asNobody, 'test', '-r', command]).status === 0;
const ubuntu = 'PRETTY_NAME="Ubuntu 24.04 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n';
const minutes = 60_000;

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'normalworld-newcomer-'));
  const bin = join(home, 'bin');
  mkdirSync(bin);
  symlinkSync(command, join(bin, 'normalworld'));
  writeFileSync(join(bin, 'sudo'), '#!/bin/sh\nexec "$@"\n');
  chmodSync(join(bin, 'sudo'), 0o755);
});
// With all that npm keeps in a home.
afterEach(() => rmSync(home, { recursive: true, force: true }), 10 * minutes);

/** What a new machine has in its environment. */
const bare = () => ({
  HOME: home,
  PATH: `${join(home, 'bin')}:${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  LANG: 'C.UTF-8',
});

function shell(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
  return new Promise<{ readonly said: string; readonly failed: boolean }>((resolve) => {
    execFile(program, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resolve({ said: stdout + stderr, failed: error !== null }),
    );
  });
}

describe.skipIf(whyNoKit !== undefined)(onRealOptee('a newcomer'), () => {
  it.skipIf(!canUnshare)(
    'can follow the first page on Ubuntu, without root and with an empty home folder',
    { timeout: 20 * minutes },
    async () => {
      const page = readFileSync(join(repository, 'docs/guides/first-ta.md'), 'utf8');
      const steps = blocks(page).flatMap(({ text }) => [...text.matchAll(/^\$ (.*)$/gm)].map(([, step = '']) => step));
      expect(steps).toEqual(expect.arrayContaining(['normalworld ta new adder', 'npm test']));
      writeFileSync(join(home, 'os-release'), ubuntu);
      writeFileSync(join(home, 'walk.sh'), ['set -ex', 'cd "$HOME"', ...steps].join('\n'));
      spawnSync('chown', ['-R', `${nobody}:${nobody}`, home]);
      const inside = `mount --bind ${home}/os-release "$(readlink -f /etc/os-release)" && exec setpriv --reuid ${nobody} --regid ${nobody} --clear-groups bash ${home}/walk.sh`;
      const { said, failed } = await shell('unshare', ['--mount', 'sh', '-c', inside], home, bare());
      expect(said).toMatch(/8 passed/);
      expect(failed, said).toBe(false);
    },
  );

  const projectIn = async (folder: string) => {
    await newTaProject('adder', folder);
    cpSync(join(repository, 'LICENSE'), join(folder, 'LICENSE'));
  };
  interface Step {
    readonly run?: string;
  }

  it.skipIf(!isRoot)('has files for GitHub whose steps succeed unchanged', { timeout: 20 * minutes }, async () => {
    const folder = join(home, 'work');
    await projectIn(folder);
    // What the step of the cache brings back.
    mkdirSync(join(home, '.cache'));
    symlinkSync(cacheFolder(), join(home, '.cache/normalworld'));
    const workflow = parse(readFileSync(join(folder, '.github/workflows/test.yml'), 'utf8')) as {
      readonly jobs: { readonly ta: { readonly steps: readonly Step[] } };
    };
    const steps = workflow.jobs.ta.steps.flatMap(({ run }) => run ?? []);
    expect(steps.at(-1)).toBe('npm test');
    for (const step of steps) {
      const { said, failed } = await shell('bash', ['-eo', 'pipefail', '-c', step], folder, { ...bare(), CI: 'true' });
      expect(failed, `${step}\n${said}`).toBe(false);
      if (step === 'npm test') expect(said).toMatch(/8 passed/);
    }
  });

  it.skipIf(!isRoot)('has a file for GitLab whose steps succeed unchanged', { timeout: 20 * minutes }, async () => {
    const folder = join(home, 'work');
    await projectIn(folder);
    mkdirSync(join(folder, '.cache'));
    symlinkSync(cacheFolder(), join(folder, '.cache/normalworld'));
    const { test } = parse(readFileSync(join(folder, '.gitlab-ci.yml'), 'utf8')) as {
      readonly test: { readonly script: readonly string[]; readonly variables: Readonly<Record<string, string>> };
    };
    const variables = Object.fromEntries(
      Object.entries(test.variables).map(([name, value]) => [name, value.replace('$CI_PROJECT_DIR', folder)]),
    );
    const script = ['set -eo pipefail', ...test.script].join('\n');
    const env = { ...bare(), ...variables, CI: 'true' };
    const { said, failed } = await shell('bash', ['-c', script], folder, env);
    expect(failed, said).toBe(false);
    expect(said).toMatch(/8 passed/);
    expect(existsSync(join(folder, 'build/ta'))).toBe(true);
  });
});
