import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { openTee, type Tee, trustedApplication, value } from '../../src/index.js';
import { RpcCommand } from '../../src/protocol/optee-rpc-command.js';
import { MemoryTaStore } from '../../src/supplicant/ta-store.js';
import { SimulatedWorld, simulatedTaImage } from '../../src/testing.js';

const patient = trustedApplication({
  uuid: '11111111-0000-4000-8000-000000000002',
  kind: 'user',
  singleInstance: true,
  create: () => ({
    async openSession(call) {
      await call.wait(call.parameters[0] === undefined ? 0 : call.value(0).a);
    },
    async invokeCommand(call) {
      if (call.command === 1) call.unmaskCancellation();
      for (let waited = 0; waited < call.value(0).a; waited += 100) await call.wait(100);
    },
  }),
});

const echo = trustedApplication({
  uuid: '11111111-0000-4000-8000-000000000003',
  kind: 'pseudo',
  concurrent: true,
  create: () => ({ invokeCommand() {} }),
});

let clock: VirtualClock;
let world: SimulatedWorld;
let tee: Tee;

beforeEach(async () => {
  clock = new VirtualClock();
  world = new SimulatedWorld({ clock, threads: 3, trustedApplications: [patient, echo] });
  const images = new MemoryTaStore();
  images.set(patient.uuid, simulatedTaImage(patient));
  tee = await openTee({ clock, world, supplicant: { taStores: [images] } });
});

afterEach(async () => {
  await tee.close();
  expect([tee.sharedMemoryInUse, world.sessionCount]).toEqual([0, 0]);
});

const settled = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

describe('a client that dies with a call in flight', () => {
  it('has it cancelled if the TA has unmasked cancellation', async () => {
    const client = tee.openContext();
    const session = await client.openSession(patient.uuid);
    const invoked = settled(session.invoke(1, [value.input(60_000)]));
    await clock.advance(50);
    const killed = client.kill();
    await clock.run({ until: () => world.sessionCount === 0 });
    expect(clock.now()).toBeLessThan(200);
    await killed;
    expect(await invoked).toContain('TEEC_ERROR_CANCEL');
  });

  it('otherwise keeps the TA until the call returns; then another client gets it', async () => {
    const client = tee.openContext();
    const session = await client.openSession(patient.uuid);
    const invoked = settled(session.invoke(0, [value.input(1000)]));
    await clock.advance(50);
    void client.kill();
    const early = settled(tee.openContext().openSession(patient.uuid));
    await clock.advance(100);
    expect(await early).toContain('TEEC_ERROR_BUSY');
    await clock.run();
    expect(await invoked).toBe('done');
    await tee.openContext().openSession(patient.uuid);
  });

  it('closes idle sessions at once, and each other one when its own calls have returned', async () => {
    const client = tee.openContext();
    const idle = await client.openSession(echo.uuid);
    const session = await client.openSession(patient.uuid);
    void settled(session.invoke(0, [value.input(1000)]));
    await clock.advance(50);
    expect(world.sessionCount).toBe(2);
    void client.kill();
    await clock.advance(1);
    expect(world.sessionCount).toBe(1);
    await expect(idle.invoke(0)).rejects.toThrow(/being closed/);
    await clock.run();
    expect(world.sessionCount).toBe(0);
  });

  it('ends the sleep of an open in the normal world, after which its TA may sleep again', async () => {
    const sleeps: number[] = [];
    tee.trace.listen((event) => {
      if (event.type === 'rpc-end' && event.command === RpcCommand.suspend) sleeps.push(event.time);
    });
    const client = tee.openContext();
    const opening = settled(client.openSession(patient.uuid, { parameters: [value.input(1000)] }));
    await clock.advance(50);
    const killed = client.kill();
    await clock.run();
    await Promise.all([killed, opening]);
    expect(sleeps).toEqual([50, 1000]);
  });

  it('does not keep a session that opens after its death', async () => {
    const client = tee.openContext();
    const opening = settled(client.openSession(patient.uuid, { parameters: [value.input(500)] }));
    await clock.advance(50);
    const killed = client.kill();
    await clock.run();
    await killed;
    await opening;
    expect(world.sessionCount).toBe(0);
    await tee.openContext().openSession(patient.uuid);
  });

  it('releases shared memory that is allocated for it after its death', async () => {
    const client = tee.openContext();
    await client.openSession(echo.uuid);
    const before = tee.sharedMemoryInUse;
    for (let moment = 0; moment < 20; moment++) {
      const dying = tee.openContext();
      const allocated = settled(dying.allocateSharedMemory(4096));
      for (let turn = 0; turn < moment; turn++) await Promise.resolve();
      await dying.kill();
      await allocated;
    }
    await clock.run();
    expect(tee.sharedMemoryInUse).toBe(before);
  });

  it('speeds up a pending close', async () => {
    const client = tee.openContext();
    const session = await client.openSession(patient.uuid);
    void settled(session.invoke(1, [value.input(60_000)]));
    await clock.advance(50);
    const closed = client.close();
    await clock.advance(500);
    expect(world.sessionCount).toBe(1);
    void client.kill();
    await clock.advance(150);
    await closed;
    expect(world.sessionCount).toBe(0);
  });

  it('may die at any time during its close, and after it', async () => {
    const client = tee.openContext();
    await client.openSession(echo.uuid);
    await client.allocateSharedMemory(4096);
    const closed = client.close();
    for (let moment = 0; moment < 50; moment++) {
      void client.kill();
      await Promise.resolve();
    }
    await closed;
    await client.kill();
  });

  it('releases the reservation of its system session', async () => {
    const client = tee.openKernelContext();
    const session = await client.openSession(echo.uuid);
    expect(session.systemSession()).toBe(true);
    await client.kill();
    expect(tee.queueState().counters.reservations).toBe(0);
  });
});

describe('closing the TEE', () => {
  it('cancels the calls in flight', async () => {
    const session = await tee.openContext().openSession(patient.uuid);
    const invoked = settled(session.invoke(1, [value.input(60_000)]));
    await clock.advance(50);
    void tee.close();
    await clock.run({ until: () => world.sessionCount === 0 });
    expect(clock.now()).toBeLessThan(200);
    expect(await invoked).toContain('CANCEL');
  });
});
