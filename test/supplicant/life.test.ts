import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { openTee, RpcCommand, startSupplicant, type Tee, trustedApplication } from '../../src/index.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import type { SupplicantService } from '../../src/supplicant/supplicant-service.js';
import type { TeeShm } from '../../src/tee/tee-shm.js';
import { MemoryTaStore, rpcMemref, rpcValue, simulatedTaImage } from '../../src/testing.js';

const storing = trustedApplication({
  uuid: '11111111-0000-4000-8000-000000000001',
  kind: 'user',
  singleInstance: true,
  create: () => ({
    async invokeCommand(call) {
      const memory = await call.allocateRpcMemory(4096);
      const value = rpcValue('output');
      const bytes = rpcMemref('output', memory.mobj, 16);
      const result = await call.rpc(RpcCommand.plugin, [value, bytes]);
      await call.freeRpcMemory(memory);
      return result;
    },
  }),
});

const images = new MemoryTaStore();
images.set(storing.uuid, simulatedTaImage(storing));

let clock: VirtualClock;
let tee: Tee;

async function open(options: { supplicantRequests?: 'wait' } = {}): Promise<void> {
  clock = new VirtualClock();
  tee = await openTee({ clock, supplicant: false, trustedApplications: [storing], ...options });
}

const withPlugin = (plugin: SupplicantService) => ({
  taStores: [images],
  services: new Map([[RpcCommand.plugin as number, plugin]]),
  onError: () => {},
});

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

afterEach(async () => {
  await tee.close();
  expect(tee.sharedMemoryInUse).toBe(0);
});

describe('a missing supplicant', () => {
  it('is waited for, and waiting() lists what each call waits for', async () => {
    await open();
    const opening = tee.openContext({ label: 'shop' }).openSession(storing.uuid);
    await clock.run();
    expect(tee.waiting()).toMatchObject({
      calls: [{ context: 'shop', purpose: 'open-session', waitsFor: 'a supplicant to start: LOAD_TA', since: 0 }],
      supplicantRequests: ['LOAD_TA'],
    });
    startSupplicant(tee, { taStores: [images] });
    await opening;
    expect(tee.waiting()).toEqual({ calls: [], supplicantRequests: [], notifications: [], inside: [], queued: [] });
  });

  it('is not waited for by a kernel client, which gets the reason', async () => {
    await open();
    const message = await messageOf(tee.openKernelContext().openSession(storing.uuid));
    expect(message).toContain('LOAD_TA: there is no supplicant, and a kernel client does not wait for one');
    expect(message).toContain('TEEC_ERROR_COMMUNICATION');
  });

  it('does not block the end of a dead client or of the TEE', async () => {
    await open();
    const client = tee.openContext();
    const opening = messageOf(client.openSession(storing.uuid));
    await clock.run();
    await client.kill();
    expect(await opening).toContain('LOAD_TA: the client died before a supplicant started');
    expect(tee.waiting().supplicantRequests).toEqual([]);
    void messageOf(tee.openContext().openSession(storing.uuid));
    await clock.run();
  });
});

describe('a supplicant that detaches', () => {
  it('gives COMMUNICATION with the reason, and the next one serves again', async () => {
    await open();
    let answer: (result: number) => void = () => {};
    const slow = startSupplicant(
      tee,
      withPlugin(
        () =>
          new Promise((resolve) => {
            answer = resolve;
          }),
      ),
    );
    const session = await tee.openContext().openSession(storing.uuid);
    const before = tee.sharedMemoryInUse;
    const invoked = messageOf(session.invoke(0));
    await clock.run();
    const left = slow[Symbol.asyncDispose]();
    expect(await invoked).toContain('PLUGIN: the supplicant exited while it served this');
    expect(tee.sharedMemoryInUse).toBeGreaterThan(before);

    startSupplicant(
      tee,
      withPlugin(() => TeeResult.SUCCESS),
    );
    await session.invoke(0);
    // Only now does the first one stop to write to its memory.
    answer(TeeResult.SUCCESS);
    await left;
    expect(tee.sharedMemoryInUse).toBe(before);
  });

  it('keeps the requests that it had not taken for the next one, on request', async () => {
    await open({ supplicantRequests: 'wait' });
    tee.supplicantDevice.queue.attach();
    const opening = tee.openContext().openSession(storing.uuid);
    await clock.run();
    tee.supplicantDevice.queue.detach();
    expect(tee.waiting().supplicantRequests).toEqual(['LOAD_TA']);
    startSupplicant(tee, { taStores: [images] });
    await opening;
  });
});

describe('two supplicants', () => {
  it('cannot attach at the same time: the second gets BUSY and the first continues', async () => {
    await open();
    const first = startSupplicant(tee, { taStores: [images] });
    expect(() => startSupplicant(tee)).toThrow(/TEEC_ERROR_BUSY/);
    await (await tee.openContext().openSession(storing.uuid)).close();
    await first[Symbol.asyncDispose]();
    startSupplicant(tee, { taStores: [images] });
    await (await tee.openContext().openSession(storing.uuid)).close();
  });
});

describe('a supplicant that misbehaves', () => {
  it('cannot answer a request twice, nor one that never existed', async () => {
    await open();
    const { queue } = tee.supplicantDevice;
    queue.attach();
    const opening = messageOf(tee.openContext().openSession(storing.uuid));
    const request = await queue.receive();
    if (request === undefined) throw new Error('no request');
    expect(queue.send(request.id, TeeResult.ERROR_ITEM_NOT_FOUND)).toBe(true);
    expect(() => queue.send(request.id, TeeResult.SUCCESS)).toThrow(/ITEM_NOT_FOUND/);
    expect(() => queue.send(4711, TeeResult.SUCCESS)).toThrow(/4711/);
    expect(await opening).toContain('ITEM_NOT_FOUND');
  });

  it('and never answers is named by waiting(), and abandoned when the client dies', async () => {
    await open();
    let end: (result: number) => void = () => {};
    startSupplicant(
      tee,
      withPlugin(
        () =>
          new Promise((resolve) => {
            end = resolve;
          }),
      ),
    );
    const client = tee.openContext({ label: 'patient' });
    const session = await client.openSession(storing.uuid);
    const invoked = messageOf(session.invoke(0));
    await clock.advance(1000);
    expect(tee.waiting().calls).toMatchObject([{ context: 'patient', waitsFor: 'the supplicant: PLUGIN' }]);
    await client.kill();
    expect(await invoked).toContain('PLUGIN: the client died before the supplicant had answered');
    // The single-instance TA is free again. The memory that the service has stays until it is through.
    await tee.openContext().openSession(storing.uuid);
    const held = tee.sharedMemoryInUse;
    end(TeeResult.SUCCESS);
    await clock.run();
    expect(tee.sharedMemoryInUse).toBe(held - 4096);
  });

  it('cannot give secure world the memory of a client', async () => {
    await open();
    const { queue } = tee.supplicantDevice;
    queue.attach();
    const theirs = await tee.openContext().allocateSharedMemory(4096);
    const opening = messageOf(tee.openContext().openSession(storing.uuid));
    for (let asked = 0; asked < 2; asked++) {
      const request = await queue.receive();
      const [first, second] = request?.params ?? [];
      if (request?.command === RpcCommand.shmAlloc && first?.type === 'value') first.c = theirs.shm.id;
      if (second?.type === 'memref') second.size = 64;
      queue.send(request?.id ?? 0, TeeResult.SUCCESS);
    }
    expect(await opening).toContain('OUT_OF_MEMORY');
    expect(await opening).toContain('the supplicant has no memory of');
  });

  it('and never answers SHM_FREE does not block a dead client', async () => {
    await open();
    const { queue, allocate } = tee.supplicantDevice;
    queue.attach();
    const client = tee.openContext();
    const opening = messageOf(client.openSession(storing.uuid));
    let freed = 0;
    let given: TeeShm | undefined;
    for (let request = await queue.receive(); freed === 0 && request !== undefined; ) {
      const [first, second] = request.params;
      if (request.command === RpcCommand.shmFree) freed = request.id;
      else {
        if (request.command === RpcCommand.shmAlloc && first?.type === 'value') {
          given = await allocate(first.b);
          first.c = given.id;
        }
        if (second?.type === 'memref' && second.shm === null) second.size = 64;
        queue.send(request.id, TeeResult.SUCCESS);
        request = await queue.receive();
      }
    }
    await client.kill();
    // The image that it was given is none.
    expect(await opening).toContain('SECURITY');
    expect(queue.send(freed, TeeResult.SUCCESS)).toBe(false);
    await given?.put();
    queue.detach();
  });

  it('and never answers the last request of a dead client is waited for ten seconds', async () => {
    await open();
    const parting = trustedApplication({
      uuid: '11111111-0000-4000-8000-000000000004',
      kind: 'pseudo',
      create: () => ({
        invokeCommand() {},
        async closeSession(call) {
          await call.rpc(RpcCommand.plugin, []);
        },
      }),
    });
    await tee.close();
    tee = await openTee({ clock, supplicant: false, trustedApplications: [parting] });
    const asked: number[] = [];
    startSupplicant(
      tee,
      withPlugin(() => {
        asked.push(clock.now());
        return new Promise<number>(() => {});
      }),
    );
    const client = tee.openContext();
    await client.openSession(parting.uuid);
    const begun = clock.now();
    const killed = client.kill();
    await clock.run({ until: () => asked.length > 0 });
    expect(tee.waiting().calls).toMatchObject([{ purpose: 'close-session', waitsFor: 'the supplicant: PLUGIN' }]);
    await clock.run();
    await killed;
    expect(clock.now() - begun).toBe(10_000);
  });

  const rubbish: readonly [string, SupplicantService, RegExp][] = [
    ['no result at all', (() => undefined) as unknown as SupplicantService, /GENERIC/],
    ['a negative result', () => -1, /GENERIC/],
    ['a result that is not an integer', () => 0.5, /GENERIC/],
    ['a result of 33 bits', () => 2 ** 32, /GENERIC/],
    ['an error that is not a TEE result', () => Promise.reject(new Error('disk on fire')), /GENERIC/],
    [
      'a value that is not a number',
      ([value]) => {
        if (value?.type === 'value') value.a = Number.NaN;
        return TeeResult.SUCCESS;
      },
      /COMMUNICATION.*|parameter 0 with NaN/,
    ],
    [
      'a negative size',
      ([, bytes]) => {
        if (bytes?.type === 'memref') bytes.size = -1;
        return TeeResult.SUCCESS;
      },
      /parameter 1 with -1/,
    ],
    [
      'a size beyond exact numbers',
      ([, bytes]) => {
        if (bytes?.type === 'memref') bytes.size = 2 ** 60;
        return TeeResult.SUCCESS;
      },
      /parameter 1 with 1152921504606847000/,
    ],
  ];

  it.each(rubbish)('by %s gives the call an error, and the next request is served', async (_, service, message) => {
    await open();
    let bad = true;
    startSupplicant(
      tee,
      withPlugin((params) => (bad ? service(params) : TeeResult.SUCCESS)),
    );
    const session = await tee.openContext().openSession(storing.uuid);
    const before = tee.sharedMemoryInUse;
    expect(await messageOf(session.invoke(0))).toMatch(message);
    bad = false;
    await session.invoke(0);
    expect(tee.sharedMemoryInUse).toBe(before);
  });

  it('with an invalid result gets an error, and the call gets COMMUNICATION', async () => {
    await open();
    const { queue } = tee.supplicantDevice;
    queue.attach();
    const opening = messageOf(tee.openContext().openSession(storing.uuid));
    const request = await queue.receive();
    expect(() => queue.send(request?.id ?? 0, Number.NaN)).toThrow(/BAD_PARAMETERS/);
    expect(await opening).toContain('LOAD_TA: the supplicant answered NaN, which is not a result');
  });
});
