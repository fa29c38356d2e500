import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KernelSession } from '../../src/client/session.js';
import { driverTarget } from '../../src/fuzz/driver/driver-target.js';
import { DriverTee } from '../../src/fuzz/driver/driver-tee.js';
import { Fuzzer } from '../../src/fuzz/engine/fuzzer.js';
import type { FuzzInput, Step } from '../../src/fuzz/input/grammar.js';
import { OpteeDriver } from '../../src/optee/optee-driver.js';
import { RpcServer } from '../../src/optee/rpc/rpc.js';
import { SmcAbi } from '../../src/optee/smc/smc-abi.js';
import { OpteeSmcReturn, rpcReturn } from '../../src/protocol/optee-smc.js';
import { TeeResult } from '../../src/protocol/tee-result.js';

afterEach(() => vi.restoreAllMocks());

describe('the driver under a secure world that violates the protocol', () => {
  it('handles the seeds without a finding, and has the same coverage each time', async () => {
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
    ['the result of a call', { field: 'ret', parameter: 0 }, TeeResult.ERROR_GENERIC],
    ['an attribute of a parameter', { field: 'attr', parameter: 0 }, 0xff],
  ])('behaves differently if %s is wrong', async (_, what, value) => {
    await using harness = await driverTarget().open();
    const course = async (steps: Step[]) => {
      const inout = { kind: 'value', direction: 'inout', a: 1, b: 2 };
      const invoke = { kind: 'invoke', session: 0, command: 1, parameters: [inout] };
      expect(await harness.execute({ steps: [...steps, invoke] })).toEqual([]);
      const features: number[] = [];
      harness.drain((feature) => void features.push(feature));
      return features.sort((one, other) => one - other);
    };
    const lie = { kind: 'lie-answer', after: 0, ...what };
    const honest = await course([]);
    expect(await course([])).toEqual(honest);
    expect(await course([{ ...lie, value }])).not.toEqual(honest);
    // For a parameter that the message has no room for there is nothing to change.
    expect(await course([{ ...lie, field: 'attr', parameter: 5, value }])).toEqual(honest);
  });

  it('covers the same with an input after others as without them', { timeout: 240_000 }, async () => {
    const target = driverTarget();
    const shared = { kind: 'shared', direction: 'inout', memory: 0, offset: 0, size: 64 };
    const input = {
      steps: [
        { kind: 'allocate', size: 4096 },
        { kind: 'open', application: 1, parameters: [] },
        { kind: 'invoke', session: 2, command: 2, parameters: [shared] },
      ],
    };
    const coverage = async (before: readonly FuzzInput[]) => {
      await using harness = await target.open();
      for (const each of before) expect(await harness.execute(each)).toEqual([]);
      harness.drain(() => undefined);
      expect(await harness.execute(input)).toEqual([]);
      const features: [number, number][] = [];
      harness.drain((feature, count) => void features.push([feature, count]));
      return features;
    };
    const alone = await coverage([]);
    expect(alone.length).toBeGreaterThan(10);
    expect(await coverage(target.seeds)).toEqual(alone);
    expect(await coverage(Array.from({ length: 101 }, () => input))).toEqual(alone);
  });

  it.each([
    [
      'registers that secure world returns',
      0,
      (value: number) => ({ kind: 'lie-return', after: 0, registers: [value] }),
    ],
    [
      'results of calls',
      TeeResult.ERROR_BUSY,
      (value: number) => ({ kind: 'lie-answer', after: 0, field: 'ret', parameter: 0, value }),
    ],
    ['commands of RPCs', 0, (value: number) => ({ kind: 'ask', command: value, parameters: [] })],
  ])('counts no coverage for another value without a meaning, in %s', async (_, known, lie) => {
    await using harness = await driverTarget().open();
    const course = async (value: number) => {
      expect(
        await harness.execute({ steps: [lie(value), { kind: 'invoke', session: 0, command: 1, parameters: [] }] }),
      ).toEqual([]);
      const features: number[] = [];
      harness.drain((feature) => void features.push(feature));
      return features.sort((one, other) => one - other);
    };
    const first = await course(0x1234_5678);
    expect(first).not.toEqual(await course(known));
    expect(await course(0x2345_6789)).toEqual(first);
  });

  it.each([
    [
      'a call that secure world never ends',
      [
        { kind: 'lie-return', after: 0, registers: [0] },
        { kind: 'ask', command: 0, parameters: [] },
      ],
    ],
    [
      'memory that secure world refuses to give back',
      [
        { kind: 'register', size: 100 },
        { kind: 'lie-answer', after: 0, field: 'ret', parameter: 0, value: 5 },
        { kind: 'free', memory: 0 },
      ],
    ],
    [
      'memory that is being freed while the TEE closes',
      [
        { kind: 'allocate', size: 100 },
        { kind: 'lie-return', after: 0, registers: [OpteeSmcReturn.ethreadLimit] },
        { kind: 'free', memory: 0 },
      ],
    ],
    [
      'a call that keeps another from sleeping, so that secure world asks again and again',
      [
        { kind: 'invoke', session: 1, command: 4, parameters: [] },
        { kind: 'lie-return', after: 0, registers: [rpcReturn(0), 0xffff_0003] },
        { kind: 'register', size: 100 },
      ],
    ],
  ])('releases everything after %s', async (_, steps) => {
    await using harness = await driverTarget().open();
    expect(await harness.execute({ steps })).toEqual([]);
  });

  it('executes an input with faults on the TEE of the input before, if that left nothing behind', async () => {
    const opened = vi.spyOn(DriverTee, 'open');
    await using harness = await driverTarget().open();
    const invoke = { kind: 'invoke', session: 0, command: 1, parameters: [] };
    const lies = [
      { kind: 'lie-return', after: 0, registers: [OpteeSmcReturn.ebadCmd] },
      { kind: 'lie-instead', after: 0, registers: [OpteeSmcReturn.ok] },
      { kind: 'lie-answer', after: 0, field: 'ret', parameter: 0, value: TeeResult.ERROR_GENERIC },
    ];
    for (const lie of [...lies, ...lies]) expect(await harness.execute({ steps: [lie, invoke] })).toEqual([]);
    expect(opened).toHaveBeenCalledTimes(1);
    // Secure world waits for an RPC that the driver has not seen: a thread is lost.
    const lost = { kind: 'lie-return', after: 0, registers: [OpteeSmcReturn.ok] };
    expect(await harness.execute({ steps: [lost, { kind: 'ask', command: 0, parameters: [] }] })).toEqual([]);
    expect(await harness.execute({ steps: [invoke] })).toEqual([]);
    expect(opened).toHaveBeenCalledTimes(2);
  });

  it.each([
    ['shared memory', { kind: 'register', size: 100 }, SmcAbi.prototype, 'unregister'],
    ['a session', { kind: 'open', application: 1, parameters: [] }, OpteeDriver.prototype, 'closeFoundSession'],
  ])('is caught when it leaves %s in secure world, without a fault', async (what, step, owner, method) => {
    await using harness = await driverTarget().open();
    expect(await harness.execute({ steps: [step] })).toEqual([]);
    vi.spyOn(owner as unknown as Record<string, () => Promise<unknown>>, method).mockResolvedValue(undefined);
    expect(await harness.execute({ steps: [step] })).toMatchObject([
      { kind: 'leak', what: `Secure world still has ${what} of a client that has exited` },
    ]);
  });

  it('is blamed for a promise that nobody handles, in the input that left it', async () => {
    const invoke = vi.spyOn(KernelSession.prototype, 'invoke');
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    try {
      await using harness = await driverTarget().open();
      const input = { steps: [{ kind: 'invoke', session: 0, command: 7, parameters: [] }] };
      expect(await harness.execute(input)).toEqual([]);
      invoke.mockImplementationOnce(() => {
        void Promise.reject(new Error('nobody handles this'));
        return Promise.resolve([]) as unknown as ReturnType<KernelSession['invoke']>;
      });
      expect(await harness.execute(input)).toMatchObject([
        { kind: 'exception', what: expect.stringContaining('nobody handles this') },
      ]);
      expect(await harness.execute(input)).toEqual([]);
    } finally {
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
  });

  it('is caught when it keeps memory that secure world frees', { timeout: 60_000 }, async () => {
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
