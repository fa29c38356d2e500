import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { builtOptee } from '../../src/optee-build/built-optee.js';
import { pageSize } from '../../src/protocol/physical-memory.js';
import { ScmiStatus, smtSize } from '../../src/protocol/scmi.js';
import { ScmiAgent, type ScmiTransport } from '../../src/scmi/index.js';
import { whyNot } from '../worlds/qemu/real-optee.js';

const builds = [
  { abi: 'smc', name: 'sid-rpmb-scmi-threads4', how: '--rpmb --scmi --threads 4' },
  { abi: 'ffa', name: 'sid-ffa-rpmb-scmi-threads4', how: '--ffa --rpmb --scmi --threads 4' },
] as const;
const status = (name: keyof typeof ScmiStatus) => expect.objectContaining({ status: ScmiStatus[name] });

for (const { abi, name, how } of builds) {
  const built = await builtOptee(name);
  // One that was built with another platform is of no use, and built anew by the same command.
  const there = built?.scmiPlatform !== undefined;
  const missing = whyNot ?? (there ? undefined : `normalworld optee build ${how}`);
  const title = `OP-TEE's own SCMI server, over ${abi}`;
  describe.skipIf(missing !== undefined)(missing === undefined ? title : `${title} (skipped: ${missing})`, () => {
    let tee: Tee;
    beforeAll(async () => {
      if (built === undefined) throw new Error('not built');
      tee = await openTee({ world: 'qemu', qemu: { optee: built.folder.image, callLimitMs: 60_000 } });
    });
    afterAll(async () => {
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
    });

    /** Two pages at a fixed place, of channels 2 and 3. */
    const smtMemory = (channel: number) => {
      if (tee.platformMemory === undefined) throw new Error('the world has no memory at fixed places');
      return tee.platformMemory.window(0x41f0_0000 + (channel - 2) * pageSize, smtSize);
    };
    const ways: readonly [string, ScmiTransport, number][] = [
      ['MSG', 'msg', 0],
      ['SMT in memory that comes with each message', 'smt', 0],
      ['SMT in memory at a fixed place', { smtMemory }, 2],
    ];
    describe.each(ways)('by %s', (_way, transport, first) => {
      const channels = { base: first, clock: first, voltage: first + 1, reset: first };
      const open = () => ScmiAgent.open(tee, { transport, channels });

      it('reports its identity and its protocols', async () => {
        await using agent = await open();
        expect(agent.system).toBe(true);
        expect(await agent.base.vendor()).toBe('normalworld');
        expect([...(await agent.base.protocols())].sort((a, b) => a - b)).toEqual([0x14, 0x16, 0x17]);
      });

      it('switches clocks and sets supported rates only', async () => {
        await using agent = await open();
        const { clocks } = agent;
        expect(await clocks.count()).toBe(2);
        expect(await clocks.describeClock(0)).toMatchObject({ name: 'emmc-clock', enabled: false });
        expect(await clocks.rates(0)).toEqual({ values: [400_000, 26_000_000, 52_000_000] });
        await clocks.setRate(0, 52_000_000);
        expect(await clocks.rate(0)).toBe(52_000_000);
        await clocks.enable(0);
        expect(await clocks.describeClock(0)).toMatchObject({ enabled: true });
        await clocks.disable(0);
        await expect(clocks.setRate(0, 1)).rejects.toEqual(status('invalidParameters'));
        await expect(clocks.enable(7)).rejects.toEqual(status('invalidParameters'));
        await clocks.setRate(0, 400_000);
      });

      it('switches regulators and sets their levels', async () => {
        await using agent = await open();
        const { voltages } = agent;
        expect((await voltages.describeDomain(1)).name).toBe('vqmmc');
        expect(await voltages.levels(1)).toEqual({ values: [1_800_000, 3_300_000] });
        await voltages.setLevel(1, 3_300_000);
        await voltages.enable(1);
        expect([await voltages.level(1), await voltages.enabled(1)]).toEqual([3_300_000, true]);
        await voltages.disable(1);
        expect(await voltages.enabled(1)).toBe(false);
        await voltages.setLevel(1, 1_800_000);
      });

      it('resets, and holds in reset', async () => {
        await using agent = await open();
        const { resets } = agent;
        expect([await resets.count(), (await resets.describeDomain(0)).name]).toEqual([1, 'emmc-reset']);
        await resets.reset(0);
        await resets.assert(0);
        await resets.deassert(0);
        await expect(resets.reset(1)).rejects.toEqual(status('notFound'));
      });
    });
  });
}
