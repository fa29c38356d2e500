import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
/** Of somebody who has the package installed and no clone. */
const project = mkdtempSync(join(tmpdir(), 'normalworld-installed-'));
const installed = join(project, 'node_modules/normalworld');
afterAll(() => rmSync(project, { recursive: true }));

const minutes = 60_000;
const run = (program: string, ...args: string[]) =>
  spawnSync(program, args, { cwd: project, encoding: 'utf8', env: { ...process.env, HOME: project } });
const node = (...args: string[]) => run(process.execPath, ...args);

describe('the package, packed and installed without a network', () => {
  beforeAll(() => {
    const said = execFileSync(
      'npm',
      ['pack', '--ignore-scripts', '--silent', '--json', '--pack-destination', project],
      {
        ...{ cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 },
      },
    );
    const [packed] = JSON.parse(said) as readonly { readonly filename: string }[];
    // What it depends on is there already: npm asks nobody.
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly link?: boolean }>>;
    };
    for (const [path, { dev, link }] of Object.entries(lock.packages))
      if (path.startsWith('node_modules/') && !dev && !link && existsSync(join(root, path)))
        cpSync(join(root, path), join(project, path), { recursive: true });
    writeFileSync(join(project, 'package.json'), '{ "name": "somebody", "private": true, "type": "module" }\n');
    const { status, stderr } = run(
      'npm',
      ...['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', `./${packed?.filename}`],
    );
    expect(status, stderr).toBe(0);
  }, 10 * minutes);

  it('contains everything its pages link to', () => {
    const pages = readdirSync(installed, { recursive: true, encoding: 'utf8' }).filter(
      (path) => path.endsWith('.md') && !path.includes('node_modules') && !path.startsWith('templates'),
    );
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'ARCHITECTURE.md', 'docs/guides/first-ta.md']));
    const broken = pages.flatMap((page) => {
      const text = readFileSync(join(installed, page), 'utf8').replace(/^```[\s\S]*?^```/gm, '');
      return [...text.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].flatMap(([, target = '']) => {
        if (/^[a-z]+:/.test(target) || target.startsWith('#')) return [];
        const path = relative(installed, resolve(installed, dirname(page), target.split('#')[0] ?? ''));
        return existsSync(join(installed, path)) ? [] : [`${page}: ${target}`];
      });
    });
    expect(broken).toEqual([]);
  });

  it('has a working command with all files that it mentions', { timeout: 5 * minutes }, () => {
    const command = join(project, 'node_modules/.bin/normalworld');
    expect(run(command, '--version').stdout.trim()).toBe(
      JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    );
    const { stdout } = run(command, 'run', 'rpmb-scmi-deadlock', '--queue', 'hand-off');
    expect(stdout).toContain('hand-off');
    const doctor = run(command, 'doctor').stdout;
    // No script of the clone's is what somebody without one is sent to.
    expect(doctor).not.toMatch(/npm run|make -C/);
    const preload = run(command, 'preload');
    if (spawnSync('cc', ['--version']).status === 0) expect(preload.stdout).toMatch(/libnormalworld\.so/);
  });

  it('has examples that run unchanged', { timeout: 5 * minutes }, () => {
    mkdirSync(join(project, 'tried'));
    for (const example of ['key-store.js', 'scmi-agent.js']) {
      cpSync(join(installed, 'examples', example), join(project, 'tried', example));
      const { status, stdout, stderr } = node(join('tried', example));
      expect(status, stdout + stderr).toBe(0);
    }
  });

  it('has types that the oldest supported TypeScript accepts', { timeout: 10 * minutes }, () => {
    const oldest = join(root, 'node_modules/typescript-min');
    const { version } = JSON.parse(readFileSync(join(oldest, 'package.json'), 'utf8')) as { readonly version: string };
    expect(version).toMatch(/^5\.6\./);
    expect(readFileSync(join(installed, 'README.md'), 'utf8')).toContain('TypeScript 5.6');
    const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      readonly exports: object;
    };
    const imports = Object.keys(exports).map(
      (entry, index) => `import * as entry${index} from '${entry.replace('.', 'normalworld')}';\nentry${index};\n`,
    );
    writeFileSync(
      join(project, 'consumer.ts'),
      `${imports.join('')}
import { ConduitError, type ConsoleLine, openTee, type OpenTeeOptions, TeecError, value } from 'normalworld';
const lines: ConsoleLine[] = [];
const options: OpenTeeOptions = { world: 'qemu', qemu: { onConsoleLine: (line) => void lines.push(line) } };
export async function run(): Promise<number> {
  await using tee = await openTee(options);
  try {
    const session = await tee.openContext().openSession('d96a5b40-c3e5-21e3-8794-1002a5d5c61b');
    const [out] = await session.invoke(1, [value.inout(1, 0)], { limitMs: 100 });
    return out.a;
  } catch (error) {
    if (error instanceof ConduitError || error instanceof TeecError) return 0;
    throw error;
  }
}
`,
    );
    cpSync(join(root, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'), { recursive: true });
    cpSync(join(root, 'node_modules/undici-types'), join(project, 'node_modules/undici-types'), { recursive: true });
    const { status, stdout } = node(
      join(oldest, 'bin/tsc'),
      ...['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'],
      ...['--lib', 'es2022,esnext.disposable', 'consumer.ts'],
    );
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});
