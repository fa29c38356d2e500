import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { addLcov, lcovText } from '../../src/coverage/lcov.js';
import { openTee, temporary, value } from '../../src/index.js';
import { CoverageMap, coveragePlugin } from '../../src/ta/index.js';
import { command, TaProject, whyNoKit } from '../ta/ta-project.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';

describe.skipIf(whyNoKit !== undefined)(onRealOptee('coverage of a trusted application'), () => {
  it('counts executed lines, and lists the others with 0', { timeout: 180_000 }, async () => {
    using project = await TaProject.make();
    const testFile = join(project.folder, 'test/adder.test.ts');
    const run = (...more: string[]) =>
      spawnSync(process.execPath, [command, 'ta', 'test', '--coverage', '--', ...more], {
        cwd: project.folder,
        encoding: 'utf8',
      });
    const { stdout, stderr, status } = run('-t', 'adds');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/\d+ of \d+ lines {2}ta\/adder_ta\.c/);
    const lines = readFileSync(join(project.folder, 'ta/adder_ta.c'), 'utf8').split('\n');
    const lineOf = (text: string) => lines.findIndex((line) => line.includes(text)) + 1;
    const counts = new Map<string, Map<number, number>>();
    addLcov(readFileSync(join(project.folder, 'build/coverage/lcov.info'), 'utf8'), counts);
    expect([...counts.keys()]).toEqual([join(project.folder, 'ta/adder_ta.c')]);
    const hits = counts.get(join(project.folder, 'ta/adder_ta.c'));
    expect(hits?.get(lineOf('params[0].value.a = sum'))).toBeGreaterThan(0);
    expect(hits?.get(lineOf('octets[i] = octets[size'))).toBe(0);
    expect(readFileSync(testFile, 'utf8')).toContain('reverses');
  });

  it('of one call can be read and cleared during execution', { timeout: 120_000 }, async () => {
    using project = await TaProject.make();
    await project.build();
    using map = new CoverageMap(await coveragePlugin());
    const tee = await openTee({
      world: 'qemu',
      taFolders: [join(project.folder, 'build/ta')],
      qemu: { coverage: map },
    });
    try {
      expect(map.isLoaded).toBe(true);
      const session = await tee.openContext().openSession(project.uuid);
      const covered = async (call: () => Promise<unknown>) => {
        // Once before: what the driver and OP-TEE do the first time.
        await call();
        map.takeHits();
        map.drainEdges(() => undefined);
        await call();
        const hits = map.takeHits();
        let edges = 0;
        map.drainEdges((_edge, count) => {
          if (count > 0) edges++;
        });
        return {
          blocks: new Set(map.blocks.flatMap((_block, number) => ((hits[number] ?? 0) > 0 ? [number] : []))),
          edges,
        };
      };
      const adding = await covered(() => session.invoke(0, [value.inout(1, 2)]));
      const reversing = await covered(() => session.invoke(1, [temporary.inout(Uint8Array.of(1, 2, 3))]));
      expect(adding.blocks.size).toBeGreaterThan(50);
      expect(adding.edges).toBeGreaterThan(50);
      // The two share the way in and out, and each has its own.
      expect([...reversing.blocks].some((number) => adding.blocks.has(number))).toBe(true);
      expect([...reversing.blocks].some((number) => !adding.blocks.has(number))).toBe(true);
      expect([...adding.blocks].some((number) => !reversing.blocks.has(number))).toBe(true);
      expect(map.lostBlocks).toBe(0);
    } finally {
      await tee.close();
    }
  });
});

describe("files in lcov's format", () => {
  it('are merged', () => {
    const counts = new Map([['/a.c', new Map([[1, 2]])]]);
    addLcov('TN:\nSF:/a.c\nDA:1,3\nDA:2,0\nend_of_record\nSF:/b.ts\r\nFN:1,f\nDA:7,1\nend_of_record\n', counts);
    expect(lcovText(counts)).toBe(
      'TN:\nSF:/a.c\nDA:1,5\nDA:2,0\nLF:2\nLH:1\nend_of_record\nTN:\nSF:/b.ts\nDA:7,1\nLF:1\nLH:1\nend_of_record\n',
    );
  });
});
