import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, TeeResult, trustedApplication, value } from '../../src/index.js';
import { EmulatedEmmc, hmacSha256 } from '../../src/rpmb/index.js';
import { Command, userTa } from '../support/applications.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const raise = () => {
  throw new TypeError('a bug of who is told');
};

let warnings: string[];
const warned = ({ message }: Error) => void warnings.push(message);
beforeEach(() => {
  warnings = [];
  process.on('warning', warned);
});
afterEach(() => {
  process.off('warning', warned);
});

/** Warnings come in a turn of their own. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('who is told of what happens and throws', () => {
  it('by the trace breaks no call, and is told once', async () => {
    await using tee = await openTee({ trustedApplications: [userTa] });
    const told: string[] = [];
    tee.trace.listen(raise);
    tee.trace.listen(({ type }) => told.push(type));
    const session = await tee.openContext().openSession(userTa.uuid);
    const [sum] = await session.invoke(Command.add, [value.inout(40, 2)]);
    expect(sum.a).toBe(42);
    expect(told).toContain('rpc-end');
    await turn();
    expect(warnings).toEqual([
      expect.stringMatching(/^a listener of the trace threw: TypeError: a bug of who is told/),
    ]);
  });

  it('as a sink of the trace breaks no call, and is told once', async () => {
    await using tee = await openTee({ trustedApplications: [userTa] });
    tee.trace.attach({ record: raise });
    const session = await tee.openContext().openSession(userTa.uuid);
    const [sum] = await session.invoke(Command.add, [value.inout(40, 2)]);
    expect(sum.a).toBe(42);
    await turn();
    expect(warnings).toEqual([expect.stringMatching(/^a sink of the trace threw: TypeError: a bug of who is told/)]);
  });

  it('of panics leaves the client its answer', async () => {
    const dying = trustedApplication({
      uuid: '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11',
      kind: 'user',
      create: () => ({ invokeCommand: (call) => call.panic(7) }),
    });
    await using tee = await openTee({ trustedApplications: [dying] });
    tee.panics?.listen(raise);
    const context = tee.openContext();
    const session = await context.openSession(dying.uuid);
    await expect(session.invoke(1)).rejects.toMatchObject({ code: TeeResult.ERROR_TARGET_DEAD });
    await (await context.openSession(dying.uuid)).close();
    await turn();
    expect(warnings).toEqual([expect.stringContaining('a listener to panics threw')]);
  });

  it('of devices that cannot be listed any more is told what happened, and no more', async () => {
    const uuid = '5e3d1a2c-9d0f-4b52-a07b-6f1c2f0d8e44';
    const listed = trustedApplication({
      uuid,
      kind: 'pseudo',
      device: 'with-rpmb',
      create: () => ({ invokeCommand() {} }),
    });
    await using tee = await openTee({ trustedApplications: [listed] });
    let asked = () => {};
    const wasAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    using watch = await tee.watchDevices({
      onAdded: raise,
      onError: () => {
        asked();
        raise();
      },
    });
    expect(watch.devices).toEqual([]);
    tee.addRpmb(new EmulatedEmmc({ hmac: hmacSha256 }));
    await wasAsked;
    await turn();
    expect(warnings).toEqual([expect.stringContaining('onError of a list of devices threw')]);
  });
});

describe.skipIf(whyNot !== undefined)(onRealOptee('who is told of the console and throws'), () => {
  it('keeps no call from coming back', async () => {
    await using tee = await openTee({ world: 'qemu', qemu: { onConsoleLine: raise } });
    const session = await tee.openContext().openSession('d96a5b40-c3e5-21e3-8794-1002a5d5c61b');
    const [sum] = await session.invoke(1, [value.inout(40, 2)]);
    expect(sum.a).toBe(42);
    await turn();
    expect(warnings).toEqual([expect.stringContaining('onConsoleLine threw')]);
  }, 30_000);
});
