import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseScenario } from '../../src/scenario/scenario-file.js';

const root = resolve(import.meta.dirname, '../..');
/** Inside the package, so that `normalworld` means this one. */
const folder = mkdtempSync(join(root, 'dist', 'snippets-'));
symlinkSync(join(root, 'scenarios'), join(folder, 'scenarios'));
afterAll(() => rmSync(folder, { recursive: true }));

const pages = ['README.md', 'docs/start.md', 'docs/concepts.md', ...guides()];

function guides(): string[] {
  return readdirSync(join(root, 'docs/guides')).map((name) => `docs/guides/${name}`);
}

/** The blocks of a page that are fenced as this language. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block = '']) => block);
}

const programs = pages.flatMap((page) =>
  blocks(page, 'js')
    // The real OP-TEE is tried elsewhere, where it is there.
    .filter((block) => !block.includes("world: 'qemu'"))
    .map((block, index) => ({ page, block, index: index + 1 })),
);
const commands = pages.flatMap((page) =>
  blocks(page, 'sh').flatMap((block) =>
    block
      .split('\n')
      .filter((line) => line.startsWith('normalworld '))
      .map((line) => ({ page, line })),
  ),
);

describe('what the documentation shows', () => {
  it.each(programs)('runs: program $index of $page', ({ block, index }) => {
    const file = join(folder, `program-${index}.mjs`);
    writeFileSync(file, block);
    const { status, stderr } = spawnSync(process.execPath, [file], { cwd: folder, encoding: 'utf8', timeout: 30_000 });
    expect(status, stderr).toBe(0);
  });

  it.each(commands)('runs: $line ($page)', ({ line }) => {
    const words = line.split(' #')[0]?.trim().split(' ').slice(1) ?? [];
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...words], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(status, stderr).toBe(0);
  });

  it.each(blocks('docs/scenarios.md', 'yaml'))('is a scenario, but for its title:\n%s', (block) => {
    expect(parseScenario(`title: shown\n${block}`, 'docs/scenarios.md').clients.size).toBeGreaterThan(0);
  });

  it('leads nowhere that is not there', () => {
    const dead = ['README.md', 'ARCHITECTURE.md', ...allPages()].flatMap((page) => {
      const text = readFileSync(join(root, page), 'utf8');
      return [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !exists(resolve(root, page, '..', target)))
        .map((target) => `${page}: ${target}`);
    });
    expect(dead).toEqual([]);
  });

  it('explains every result code', () => {
    const errors = readFileSync(join(root, 'docs/errors.md'), 'utf8');
    const codes = readFileSync(join(root, 'src/protocol/tee-result.ts'), 'utf8').matchAll(
      /^ {2}((?:ERROR_|SUCCESS)\w*):/gm,
    );
    expect([...codes].map(([, name = '']) => name).filter((name) => !errors.includes(`\`${name}\``))).toEqual([]);
  });
});

function allPages(): string[] {
  return readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);
}

function exists(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOTDIR';
  }
}
