import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const root = resolve(import.meta.dirname, '../..');
const examples = join(root, 'examples');
/** Inside the package, so that `normalworld` means this one. */
const folder = mkdtempSync(join(root, '.docs-examples-'));
/** A project of somebody who has the package installed. */
const project = mkdtempSync(join(tmpdir(), 'normalworld-project-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
  rmSync(project, { recursive: true });
});

function node(cwd: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 60_000 });
  expect(status, stdout + stderr).toBe(0);
  return stdout;
}

function program(name: string): string {
  const file = join(folder, name);
  writeFileSync(file, readFileSync(join(examples, name)));
  return file;
}

describe('an example to copy', () => {
  const others = ['ta.test.js', 'scmi-agent.js'];
  it.each(readdirSync(examples).filter((name) => name.endsWith('.js') && !others.includes(name)))(
    '%s works',
    (name) => {
      node(folder, program(name));
    },
  );

  it(onRealOptee('ta.test.js runs the same tests on both worlds'), () => {
    const tap = node(folder, '--test', '--test-reporter=tap', program('ta.test.js'));
    expect(tap).toMatch(/^ok 1 - in the simulated world$/m);
    expect(tap).toMatch(
      whyNot === undefined ? /^ok 2 - in the real OP-TEE$/m : /^ok 2 - in the real OP-TEE # SKIP .+/m,
    );
    expect(tap).toMatch(whyNot === undefined ? /^# pass 4$/m : /^# pass 2$/m);
  });

  it('scmi-agent.js powers a device up and down, and is refused three times by the platform', () => {
    const said = node(folder, program('scmi-agent.js'));
    expect(said).not.toContain('No thread is kept');
    expect(said).toContain('clock 0: emmc, off, 400000 Hz');
    expect(said).toContain('1800000 uV, 52000000 Hz');
    expect(said.match(/INVALID_PARAMETERS|OUT_OF_RANGE|NOT_FOUND/g)).toHaveLength(3);
  });

  it.skipIf(whyNot !== undefined)(onRealOptee('vitest/ is a package that tests on the real OP-TEE'), () => {
    cpSync(join(examples, 'vitest'), project, { recursive: true });
    mkdirSync(join(project, 'node_modules'));
    symlinkSync(root, join(project, 'node_modules/normalworld'));
    symlinkSync(join(root, 'node_modules/vitest'), join(project, 'node_modules/vitest'));
    const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
    expect(scripts.test).toBe('normalworld optee fetch && vitest run');
    expect(node(project, 'node_modules/vitest/vitest.mjs', 'run', '--reporter=verbose')).toMatch(/2 passed/);
  });
});
