import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Fuzzer } from '../../src/fuzz/engine/fuzzer.js';
import { ioctlTarget } from '../../src/fuzz/ioctl/ioctl-target.js';
import { DeviceFile } from '../../src/serve/device-file.js';
import { KeptMemory } from '../../src/serve/kept-memory.js';
import { TeeDevice } from '../../src/tee/tee-device.js';

afterEach(() => vi.restoreAllMocks());

const fuzz = async (executions: number, reproduced = 30) => {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-fuzz-ioctl-'));
  try {
    const reproduce = { executions: reproduced, ms: 10_000 };
    const fuzzer = new Fuzzer(ioctlTarget(), { folder, seed: 1, executions, reproduce });
    const progress = await fuzzer.run();
    return { ...progress, found: fuzzer.knownFindings.map(({ signature }) => signature) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

describe('the served device under hostile clients', () => {
  it('handles the seeds without a finding, and has the same coverage each time', { timeout: 60_000 }, async () => {
    const target = ioctlTarget();
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

  it('serves other clients, and releases everything after each input', { timeout: 120_000 }, async () => {
    const { found, corpus, edges } = await fuzz(300);
    expect(found).toEqual([]);
    expect(corpus).toBeGreaterThan(10);
    expect(edges).toBeGreaterThan(100);
  });

  it('refuses sessions and memory of another client', { timeout: 60_000 }, async () => {
    await using harness = await ioctlTarget().open();
    const parameters = [{ kind: 'memory', direction: 'inout', memory: 8, offset: 0, size: 64 }];
    const invoke = { kind: 'invoke', client: 0, session: 0, command: 2, cancel: 0, parameters, more: 0 };
    const open = { kind: 'open', client: 0, application: 1, login: 0, cancel: 0, parameters: [], more: 0 };
    const close = { kind: 'close', client: 0, session: 8 };
    expect(await harness.execute({ steps: [open, invoke, { ...invoke, session: 8 }, close] })).toEqual([]);
  });

  it.each<[string, RegExp, number, () => void]>([
    [
      "gives a client memory with another client's data",
      /^memory: New memory of a client is not zero$/,
      60,
      () => {
        const kept: { size: number }[] = [];
        vi.spyOn(KeptMemory.prototype, 'keep').mockImplementation((shm) => kept.push(shm) > 0);
        vi.spyOn(KeptMemory.prototype, 'take').mockImplementation((size) => {
          const at = kept.findIndex((shm) => shm.size === size);
          return at < 0 ? undefined : (kept.splice(at, 1)[0] as ReturnType<KeptMemory['take']>);
        });
      },
    ],
    [
      'leaks memory of clients that exited',
      /^leak: Files are open although all clients have exited/,
      // The server waits a while for what does not come back, each time.
      2,
      () => void vi.spyOn(DeviceFile.prototype, 'free').mockResolvedValue(undefined),
    ],
    [
      'throws an error that is not a TEE error',
      /^exception: TypeError: no such thing/,
      60,
      () => void vi.spyOn(TeeDevice.prototype, 'cancelRequest').mockRejectedValue(new TypeError('no such thing')),
    ],
  ])('is caught when it %s', { timeout: 120_000 }, async (_, signature, executions, plant) => {
    plant();
    expect((await fuzz(executions, executions / 2)).found).toContainEqual(expect.stringMatching(signature));
  });
});
