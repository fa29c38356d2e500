import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { circles, foldersOf, importsBetweenFoldersIn } from './circles.js';

const source = resolve(import.meta.dirname, '../../src');

interface SourceFile {
  readonly path: string;
  readonly lines: number;
  /** Files of the project that it imports, relative to its root; packages and Node modules as they are written. */
  readonly imports: readonly string[];
  readonly text: string;
}

/** The sources below a folder. An import counts however it is written: of types alone, when needed, a worker's by its URL. */
function sources(root: string): SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      const imports = [
        ...text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';/gms),
        ...text.matchAll(/^import '([^']+)';/gm),
        ...text.matchAll(/\bimport\('([^']+)'\)/g),
        ...text.matchAll(/new URL\('([^']+\.[jt]s)', import\.meta\.url\)/g),
      ].map(([, target = '']) =>
        target.startsWith('.') ? relative(root, resolve(root, dirname(path), target)).replace(/\.js$/, '.ts') : target,
      );
      return { path, lines: text.split('\n').length, imports, text };
    });
}

const files = sources(source);

const importsOf = (folder: string) =>
  files
    .filter(({ path }) => path.startsWith(folder))
    .flatMap(({ path, imports }) => imports.map((each) => [path, each]));

describe('the source tree', () => {
  it('has a core that runs without Node', () => {
    const core = [
      'protocol/',
      'clock/',
      'trace/',
      'tee/',
      'uapi/',
      'optee/',
      'client/',
      'scmi/',
      'worlds/simulated/',
      'open-world.ts',
    ];
    const offenders = core
      .flatMap(importsOf)
      .concat(importsOf('supplicant/'))
      .filter(([path]) => !path?.includes('/node/'))
      .concat(importsOf('rpmb/').filter(([path]) => !path?.startsWith('rpmb/node/') && path !== 'rpmb/index.ts'))
      .filter(([, target]) => target?.startsWith('node:') || target?.includes('/node/'));
    expect(offenders).toEqual([]);
  });

  it('keeps the driver and the worlds apart', () => {
    const upper = ['optee/', 'tee/', 'client/', 'scmi/', 'supplicant/'];
    expect(upper.flatMap(importsOf).filter(([, target]) => target?.startsWith('worlds/'))).toEqual([]);
    expect(importsOf('worlds/').filter(([, target]) => upper.some((folder) => target?.startsWith(folder)))).toEqual([]);
  });

  it('has no imports from lower to higher layers', () => {
    expect(
      importsOf('protocol/').filter(([, target]) => target?.includes('/') && !target.startsWith('protocol/')),
    ).toEqual([]);
    expect(importsOf('tee/').filter(([, target]) => target?.startsWith('optee/'))).toEqual([]);
  });

  it('has no unreachable file', () => {
    const doors = [
      'index.ts',
      'testing.ts',
      'scenarios.ts',
      'client/index.ts',
      'scmi/index.ts',
      'rpmb/index.ts',
      'cli/main.ts',
      'trace/index.ts',
      'trace/node/index.ts',
      // For the benchmarks that explore all of them.
      'explore/queue/model/configurations.ts',
      'ta/index.ts',
    ];
    const imported = new Set(files.flatMap(({ imports }) => imports));
    expect(files.map(({ path }) => path).filter((path) => !imported.has(path) && !doors.includes(path))).toEqual([]);
  });

  it('sets timers only in the module that handles long timeouts', () => {
    const timers = /\b(setTimeout|setInterval)\b|timers\/promises|AbortSignal\.timeout/;
    expect(
      files.filter(({ path, text }) => path !== 'clock/timer.ts' && timers.test(text)).map(({ path }) => path),
    ).toEqual([]);
  });

  it('reads whole files in one room, which knows that a path may name a FIFO, a device or a file without end', () => {
    const reading = /\bimport \{[^}]*\breadFile(Sync)?\b[^}]*\} from 'node:fs(\/promises)?'/;
    expect(
      files.filter(({ path, text }) => !path.startsWith('files/') && reading.test(text)).map(({ path }) => path),
    ).toEqual([]);
  });

  it('writes whole files in one room, which names them in errors and leaves no half of one', () => {
    const writing = /\bimport \{[^}]*\bwriteFile(Sync)?\b[^}]*\} from 'node:fs(\/promises)?'/;
    // A lock that is created, and a file of the kernel that must exist.
    const others = ['optee-build/work-folder.ts', 'linux/kernel-tracepoints.ts'];
    expect(
      files
        .filter(({ path, text }) => !path.startsWith('files/') && !others.includes(path) && writing.test(text))
        .map(({ path }) => path),
    ).toEqual([]);
  });

  it('creates folders with their parents in one room, because Node may try for ever', () => {
    expect(
      files.filter(({ text }) => /\bmkdir(Sync)?\([^;]*recursive: true/.test(text)).map(({ path }) => path),
    ).toEqual([]);
  });

  it('starts processes in one room, which knows that there may be no free descriptors', () => {
    const starting = /\bimport \{[^}]*\b(spawn|fork)\b[^}]*\} from 'node:child_process'/;
    expect(
      files.filter(({ path, text }) => !path.startsWith('processes/') && starting.test(text)).map(({ path }) => path),
    ).toEqual([]);
  });

  describe.each(['src', 'viewer/src', 'playground/src'])('in %s', (folder) => {
    const here = sources(resolve(import.meta.dirname, '../..', folder));

    it('has no import cycle between files', () => {
      const imports = new Map(here.map((file) => [file.path, file.imports]));
      expect(circles(imports)).toEqual([]);
    });

    it('has no import cycle between sibling folders', () => {
      expect(foldersOf(here).flatMap((parent) => circles(importsBetweenFoldersIn(parent, here)))).toEqual([]);
    });
  });

  it('has no file above the length limit', () => {
    expect(files.filter(({ lines }) => lines > 420).map(({ path, lines }) => `${path}: ${lines}`)).toEqual([]);
  });
});
