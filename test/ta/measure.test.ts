import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flameGraph } from '../../src/coverage/flame-graph.js';
import { addFolded, type FoldedStacks, foldedText, functionCosts } from '../../src/coverage/folded-stacks.js';
import { openTee, TeeError, TeeResult, trustedApplication, value } from '../../src/index.js';
import { heapStatistics } from '../../src/ta/index.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { command, TaProject, whyNoKit } from './ta-project.js';

const statisticsPta = 'd96a5b40-e2c7-b1af-8794-1002a5d5c61b';

const deep = `
static uint32_t __attribute__((noinline)) descend(uint32_t depth)
{
	volatile uint8_t room[256];

	room[0] = depth;
	return depth == 0 ? 0 : descend(depth - 1) + room[0];
}

static uint32_t __attribute__((noinline)) spin(uint32_t times)
{
	volatile uint32_t sum = 0;

	for (uint32_t i = 0; i < times; i++)
		sum += i;
	return sum;
}
`;

describe.skipIf(whyNoKit !== undefined)(onRealOptee('the cost of a trusted application'), () => {
  it('is measured in instructions by call stack, and in bytes of stack', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    project.edit('TEE_Result TA_CreateEntryPoint', `${deep}\nTEE_Result TA_CreateEntryPoint`);
    project.edit(
      'default:',
      'case 7:\n\t\tparams[0].value.a = descend(params[0].value.a);\n\t\treturn TEE_SUCCESS;\n' +
        '\tcase 8:\n\t\tparams[0].value.a = spin(params[0].value.a);\n\t\treturn TEE_SUCCESS;\n\tdefault:',
    );
    await project.build();
    const measured = async (depth: number) => {
      const folder = join(project.folder, `profile-${depth}`);
      const tee = await openTee({
        ...{ world: 'qemu', taFolders: [join(project.folder, 'build/ta')], flameGraphFolder: folder },
      });
      try {
        const session = await tee.openContext().openSession(project.uuid);
        await session.invoke(7, [value.inout(depth, 0)]);
        await session.invoke(8, [value.inout(100_000, 0)]);
      } finally {
        await tee.close();
      }
      const [folded = '', stacks = ''] = readdirSync(folder)
        .sort()
        .map((name) => readFileSync(join(folder, name), 'utf8'));
      const counts: FoldedStacks = new Map();
      addFolded(folded, counts);
      const [mark] = JSON.parse(stacks) as readonly {
        readonly uuid: string;
        readonly used: number;
        readonly size: number;
      }[];
      return { counts, mark };
    };
    const [shallow, far] = [await measured(0), await measured(4)];
    const stack = [...far.counts.keys()].find((each) => each.endsWith(';spin'));
    expect(stack).toMatch(/__utee_entry;TA_InvokeCommandEntryPoint;spin$/);
    // A loop of a few instructions each time.
    const spun = far.counts.get(stack ?? '') ?? 0;
    expect(spun).toBeGreaterThan(300_000);
    expect(spun).toBeLessThan(2_000_000);
    expect([...far.counts.keys()].join('\n')).toContain('descend;descend;descend;descend;descend');
    expect([...shallow.counts.keys()].join('\n')).not.toContain('descend;descend');
    expect(far.mark).toMatchObject({ uuid: project.uuid, size: 4096 });
    const more = (far.mark?.used ?? 0) - (shallow.mark?.used ?? 0);
    expect(more).toBeGreaterThanOrEqual(4 * 256);
    expect(more).toBeLessThan(4 * 400);
  });

  it('is drawn as a flame graph by ta test', { timeout: 300_000 }, async () => {
    using project = await TaProject.make();
    // Of Vitest, say: code of libraries is not the project's.
    mkdirSync(join(project.folder, 'coverage'));
    const lines = (hits: number) => `DA:1,${hits}\nDA:2,1\nend_of_record\n`;
    writeFileSync(
      join(project.folder, 'coverage/lcov.info'),
      `TN:\nSF:/elsewhere/one.c\n${lines(0)}SF:/elsewhere/two.c\n${lines(1)}`,
    );
    const { stdout, status } = spawnSync(process.execPath, [command, 'ta', 'test', '--flame-graph', '--coverage'], {
      ...{ cwd: project.folder, encoding: 'utf8' },
    });
    expect(status, stdout).toBe(0);
    expect(stdout).toMatch(new RegExp(`stack: \\d+ of 4096 bytes {2}${project.uuid}`));
    expect(stdout).toMatch(/\d+ of \d+ lines {2}ta\/adder_ta\.c/);
    expect(stdout).toContain(' 75.0 %  3 of 4 lines  in 2 files outside the project\n');
    expect(stdout).not.toContain('elsewhere');
    expect(readFileSync(join(project.folder, 'build/coverage/lcov.info'), 'utf8')).toContain('SF:/elsewhere/two.c');
    const drawn = readFileSync(join(project.folder, 'build/profile/flame-graph.svg'), 'utf8');
    expect(drawn).toMatch(/<title>TA_InvokeCommandEntryPoint: [\d,]+ instructions, [1-9]/);
    expect(readFileSync(join(project.folder, 'build/profile/profile.folded'), 'utf8')).toMatch(/;reverse \d+$/m);
  });

  it('in heap is measured for OP-TEE, and for applications only with a profiling build', {
    timeout: 120_000,
  }, async () => {
    const tee = await openTee({ world: 'qemu' });
    try {
      const { pools, applications, missing } = await heapStatistics(tee);
      const heap = pools.find(({ name }) => name === 'Heap');
      expect(heap?.highWater).toBeGreaterThan(0);
      expect(heap?.highWater).toBeGreaterThanOrEqual(heap?.allocated ?? 0);
      expect(heap?.size).toBeGreaterThanOrEqual(heap?.highWater ?? 0);
      expect(applications).toBeUndefined();
      expect(missing).toMatch(/CFG_TA_STATS.*optee build --profiling/);
    } finally {
      await tee.close();
    }
  });
});

describe('the statistics of heaps', () => {
  /** struct pta_stats_alloc of OP-TEE 4.5; since 4.10 the sum of the squares of the free chunks stands before the words. */
  const layouts = { 'OP-TEE 4.5': 32, 'OP-TEE 4.10': 40 };
  const pool = (wordsAt: number, name: string, ...words: readonly number[]) => {
    const record = new DataView(new ArrayBuffer(wordsAt + 24));
    new Uint8Array(record.buffer).set(new TextEncoder().encode(name));
    record.setUint32(32, 0x7cd3_0500, true);
    words.forEach((word, index) => {
      record.setUint32(wordsAt + 4 * index, word, true);
    });
    return new Uint8Array(record.buffer);
  };
  const joined = (parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
  /** As OP-TEE's, which writes nothing when there is not enough room. */
  const pta = (pools: readonly Uint8Array[], applications?: Uint8Array) =>
    trustedApplication({
      uuid: statisticsPta,
      kind: 'pseudo',
      create: () => ({
        invokeCommand(call) {
          const id = call.command === 1 ? call.value(0).a : 0;
          const bytes = call.command === 3 ? applications : id === 0 ? joined(pools) : pools[id - 1];
          if (bytes === undefined) throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED);
          const into = call.memref(call.command === 1 ? 1 : 0);
          into.size = bytes.length;
          if (bytes.length > into.capacity) return TeeResult.ERROR_SHORT_BUFFER;
          into.write(bytes);
          return TeeResult.SUCCESS;
        },
      }),
    });

  it.each(Object.entries(layouts))('are read for all pools and applications, of %s', async (_, at) => {
    const one = joined([
      // A TEE_UUID, that it panicked, and its sessions.
      Uint8Array.of(0x40, 0x0e, 0x9e, 0x5b, 0x36, 0x26, 0xe1, 0x11, 0xad, 0x9e, 0, 2, 0xa5, 0xd5, 0xc5, 0x1b),
      Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0),
      pool(at, 'heap', 100, 200, 32_768, 1, 40_000, 90),
    ]);
    const pools = [pool(at, 'Heap', 1, 2, 3, 4, 5, 6), pool(at, 'Physical TA memory', 7, 8, 9)];
    const tee = await openTee({ trustedApplications: [pta(pools, joined(Array.from({ length: 20 }, () => one)))] });
    const statistics = await heapStatistics(tee);
    expect(statistics.pools).toEqual([
      {
        name: 'Heap',
        allocated: 1,
        highWater: 2,
        size: 3,
        failures: 4,
        biggestFailure: 5,
        allocatedAtBiggestFailure: 6,
      },
      expect.objectContaining({ name: 'Physical TA memory', allocated: 7, highWater: 8, size: 9 }),
    ]);
    expect(statistics.missing).toBeUndefined();
    expect(statistics.applications).toHaveLength(20);
    expect(statistics.applications?.[0]).toMatchObject({
      ...{ uuid: '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b', hasPanicked: true, sessions: 2 },
      heap: { name: 'heap', allocated: 100, highWater: 200, size: 32_768, failures: 1, biggestFailure: 40_000 },
    });
    await tee.close();
  });

  it('are refused in an unknown layout', async () => {
    const tee = await openTee({ trustedApplications: [pta([pool(48, 'Heap', 1, 2, 3)])] });
    await expect(heapStatistics(tee)).rejects.toThrow(/72 bytes.*56 or 64/);
    await tee.close();
  });

  it('are an error if the PTA does not exist', async () => {
    const tee = await openTee();
    await expect(heapStatistics(tee)).rejects.toMatchObject({ code: TeeResult.ERROR_ITEM_NOT_FOUND });
    await tee.close();
  });
});

describe('folded stacks', () => {
  const stacks: FoldedStacks = new Map([
    ['a;b', 10],
    ['a', 1],
    ['a;b;b', 5],
  ]);

  it('are written, read and added up', () => {
    const again: FoldedStacks = new Map();
    for (let time = 0; time < 2; time++) addFolded(foldedText(stacks), again);
    addFolded('not one\n\n', again);
    expect([...again]).toEqual([
      ['a', 2],
      ['a;b', 20],
      ['a;b;b', 10],
    ]);
  });

  it('give the cost of each function, with and without callees', () => {
    expect(functionCosts(stacks)).toEqual([
      { name: 'b', self: 15, total: 15 },
      { name: 'a', self: 1, total: 16 },
    ]);
  });

  it('are drawn with any names', () => {
    const drawn = flameGraph(new Map([['operator<<;"x" & y', 3]]), '<title>');
    expect(drawn).not.toMatch(/operator<|"x" &/);
    expect(drawn).toContain('operator&#60;&#60;: 3 instructions, 100.0 %');
    expect(flameGraph(new Map(), 'nothing')).toContain('</svg>');
  });
});
