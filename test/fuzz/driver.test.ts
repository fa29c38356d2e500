import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { driverTarget } from '../../src/fuzz/driver/driver-target.js';
import { Fuzzer } from '../../src/fuzz/engine/fuzzer.js';
import { RpcServer } from '../../src/optee/rpc/rpc.js';
import { TeeResult } from '../../src/protocol/tee-result.js';

afterEach(() => vi.restoreAllMocks());

describe('the driver under a secure world that lies', () => {
  it('comes through what it begins with, and says each time the same', async () => {
    const target = driverTarget();
    await using harness = await target.open();
    for (const input of target.seeds) {
      const covered = async () => {
        const features: [number, number][] = [];
        expect(await harness.execute(input)).toEqual([]);
        harness.drain((feature, count) => void features.push([feature, count]));
        return features;
      };
      const first = await covered();
      expect(first.length).toBeGreaterThan(3);
      expect(await covered()).toEqual(first);
    }
  });

  it.each([
    [
      'a call that secure world never ends',
      [
        { kind: 'lie-return', after: 0, registers: [0] },
        { kind: 'ask', command: 0, parameters: [] },
      ],
    ],
  ])('gives everything back after %s', async (_, steps) => {
    await using harness = await driverTarget().open();
    expect(await harness.execute({ steps })).toEqual([]);
  });

  it('is found out when it keeps what secure world frees', { timeout: 60_000 }, async () => {
    // The defect: an answer without the deed.
    vi.spyOn(RpcServer.prototype as unknown as { shmFree: () => Promise<number> }, 'shmFree').mockResolvedValue(
      TeeResult.SUCCESS,
    );
    vi.spyOn(RpcServer.prototype, 'dispose').mockResolvedValue(undefined);
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-fuzz-driver-'));
    try {
      const fuzzer = new Fuzzer(driverTarget(), {
        folder,
        seed: 1,
        executions: 100,
        reproduce: { executions: 30, ms: 10_000 },
      });
      await fuzzer.run();
      expect(fuzzer.knownFindings.map(({ kind }) => kind)).toContain('leak');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
