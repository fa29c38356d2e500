import { beforeEach, describe, expect, it } from 'vitest';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { Ffa, FfaError, readPartitionInfo, uuidWords, writeMemoryTransaction } from '../../../src/protocol/ffa.js';
import { OpteeFfa, opteePartitionUuid } from '../../../src/protocol/optee-ffa.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { TeeResult } from '../../../src/protocol/tee-result.js';
import { SimulatedWorld } from '../../../src/worlds/simulated/index.js';

const transmit = 0x4000_0000;
const receive = 0x4000_1000;
const free = 0x4010_0000;
const optee = 0x8001;

let world: SimulatedWorld;
beforeEach(() => {
  world = new SimulatedWorld({ abi: 'ffa' });
});

type Words = readonly [number, ...number[]];
const smc = async ([a0, ...more]: Words) => world.smc(smcRegisters(a0, ...more));
const map = () => smc([Ffa.rxtxMap, transmit, receive, 1]);
const direct = (service: number, ...more: number[]) => smc([Ffa.msgSendDirectReq, optee, 0, service, ...more]);

/** FFA_MEM_SHARE of a descriptor that is changed first. */
async function share(
  ranges: readonly { base: number; size: number }[],
  change: (bytes: Uint8Array, view: DataView) => void = () => {},
  sender = 0,
  receiver = optee,
) {
  const bytes = writeMemoryTransaction({ sender, receiver, ranges });
  change(bytes, new DataView(bytes.buffer));
  world.memory.window(transmit, bytes.length).set(bytes);
  return smc([Ffa.memShare, bytes.length, bytes.length]);
}
const page = (index = 0) => ({ base: free + index * 4096, size: 4096 });

describe('the partition manager', () => {
  it('describes OP-TEE’s partition in the receive mailbox, once until it is released', async () => {
    await map();
    const words = uuidWords(opteePartitionUuid);
    expect(await smc([Ffa.partitionInfoGet, ...words])).toMatchObject({ a0: Ffa.success, a2: 1, a3: 24 });
    const bytes = world.memory.window(receive, 24);
    expect(readPartitionInfo(bytes)).toEqual({ id: optee, receivesDirectRequests: true });
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    // Its contexts are CPUs, not threads; it sends and takes messages, in AArch64.
    expect([view.getUint16(2, true), view.getUint32(4, true)]).toEqual([4, 0x103]);
    expect([8, 12, 16, 20].map((at) => view.getUint32(at, true))).toEqual(words);
    expect(await smc([Ffa.partitionInfoGet, ...words])).toMatchObject({ a0: Ffa.error, a2: FfaError.busy });
    expect((await smc([Ffa.rxRelease])).a0).toBe(Ffa.success);
    expect((await smc([Ffa.partitionInfoGet, ...words])).a0).toBe(Ffa.success);
  });

  it('counts partitions without a mailbox, and describes none without one', async () => {
    const words = uuidWords(opteePartitionUuid);
    expect(await smc([Ffa.partitionInfoGet, ...words, 1])).toMatchObject({ a0: Ffa.success, a2: 1, a3: 0 });
    expect(await smc([Ffa.partitionInfoGet, ...words])).toMatchObject({ a0: Ffa.error, a2: FfaError.busy });
  });

  it('has FF-A version 1.2, whatever is requested', async () => {
    for (const asked of [0x1_0000, 0x1_0001, 0x1_0002, 0x2_0000])
      expect((await smc([Ffa.version, asked])).a0).toBe(0x1_0002);
    expect((await smc([Ffa.version, 0x8001_0001])).a0).toBe(FfaError.notSupported);
  });

  it.each([
    ['mailboxes', Ffa.rxtxMap, 0],
    ['shares, of descriptors in memory of the caller as well', Ffa.memShare, 1],
    ['the interrupt of notifications', 2, 8],
    ['managed exits', 3, 0],
  ])('reports a feature: %s', async (_what, id, says) => {
    expect(await smc([Ffa.features, id])).toMatchObject({ a0: Ffa.success, a2: says });
  });

  it.each([
    ['FFA_RUN', Ffa.run],
    ['FFA_MSG_SEND2', 0x8400_0086],
    ['FFA_MEM_RETRIEVE_REQ', 0x8400_0074],
    ['FFA_PARTITION_INFO_GET_REGS', 0x8400_008b],
    ['a notification pending interrupt', 1],
  ])('lacks %s', async (_what, id) => {
    expect(await smc([Ffa.features, id])).toMatchObject({ a0: Ffa.error, a2: FfaError.notSupported });
  });

  it('has room for 64 shares at a time', async () => {
    await map();
    const shares = [];
    for (let index = 0; index < 64; index++) shares.push(await share([page(index)]));
    expect(shares.every(({ a0 }) => a0 === Ffa.success)).toBe(true);
    expect(await share([page(64)])).toMatchObject({ a0: Ffa.error, a2: FfaError.noMemory });
    const [first] = shares;
    expect((await smc([Ffa.memReclaim, first?.a2 ?? 0, first?.a3 ?? 0])).a0).toBe(Ffa.success);
    expect((await share([page(64)])).a0).toBe(Ffa.success);
  });

  it('lets the owner reclaim memory after OP-TEE has relinquished it, and only once', async () => {
    await map();
    const shared = await share([page()]);
    expect(shared.a0).toBe(Ffa.success);
    expect(shared.a3).toBeGreaterThan(0);
    // OP-TEE looks at it: from here on it has retrieved it.
    world.memory.window(free, 4096).fill(0xff);
    expect((await direct(OpteeFfa.yieldingCallWithArg, shared.a2, shared.a3)).a3).toBe(FfaError.invalidParameters);
    const reclaim = () => smc([Ffa.memReclaim, shared.a2, shared.a3]);
    expect(await reclaim()).toMatchObject({ a0: Ffa.error, a2: FfaError.denied });
    expect((await direct(OpteeFfa.unregisterShm, shared.a2, shared.a3)).a3).toBe(0);
    expect((await reclaim()).a0).toBe(Ffa.success);
    expect(await reclaim()).toMatchObject({ a0: Ffa.error, a2: FfaError.invalidParameters });
    expect(world.ffaShareCount).toBe(0);
  });

  it('accepts a descriptor in pieces', async () => {
    await map();
    const ranges = Array.from({ length: 300 }, (_, index) => page(2 * index));
    const bytes = writeMemoryTransaction({ sender: 0, receiver: optee, ranges });
    world.memory.window(transmit, 4096).set(bytes.subarray(0, 4096));
    const first = await smc([Ffa.memShare, bytes.length, 4096]);
    expect(first).toMatchObject({ a0: Ffa.memFragRx, a3: 4096 });
    world.memory.window(transmit, bytes.length - 4096).set(bytes.subarray(4096));
    const second = await smc([Ffa.memFragTx, first.a1, first.a2, bytes.length - 4096]);
    expect(second).toMatchObject({ a0: Ffa.success, a2: first.a1, a3: first.a2 });
    expect(world.ffaShareCount).toBe(1);
  });

  it('answers yielding calls beyond its threads with BUSY, and still serves fast calls', async () => {
    world = new SimulatedWorld({ abi: 'ffa', threads: 1, faults: { threadsMissing: 1 } });
    await map();
    const shared = await share([page()]);
    expect((await direct(OpteeFfa.yieldingCallWithArg, shared.a2, shared.a3)).a3).toBe(TeeResult.ERROR_BUSY);
    expect((await direct(OpteeFfa.getApiVersion)).a3).toBe(1);
  });

  const refused: readonly [string, Words, number][] = [
    ['an unknown function', [0x8400_00ff], FfaError.notSupported],
    ['an SMC of raw OP-TEE', [OpteeSmc.callsUid], FfaError.notSupported],
    ['a yielding SMC of raw OP-TEE', [OpteeSmc.callWithArg, 0, free], FfaError.notSupported],
    ['mailboxes twice', [Ffa.rxtxMap, free, free + 4096, 1], FfaError.denied],
    ['a partition nobody has', [Ffa.partitionInfoGet, 1, 2, 3, 4], FfaError.invalidParameters],
    ['releasing an empty mailbox', [Ffa.rxRelease], FfaError.denied],
    ['a message from another endpoint', [Ffa.msgSendDirectReq, 0x0007_8001, 0, 0], FfaError.invalidParameters],
    ['a message to another partition', [Ffa.msgSendDirectReq, 0x8002, 0, 0], FfaError.invalidParameters],
    ['a framework message', [Ffa.msgSendDirectReq, optee, 0x8000_0000, 0], FfaError.invalidParameters],
    ['a descriptor larger than the mailbox', [Ffa.memShare, 8192, 8192], FfaError.invalidParameters],
    ['a descriptor longer than announced', [Ffa.memShare, 48, 96], FfaError.invalidParameters],
    ['an empty descriptor', [Ffa.memShare, 0, 0], FfaError.invalidParameters],
    ['a descriptor of gigabytes', [Ffa.memShare, 0xffff_ffff, 4096], FfaError.noMemory],
    ['a piece of no transaction', [Ffa.memFragTx, 1, 1, 64], FfaError.invalidParameters],
    ['reclaiming an unknown handle', [Ffa.memReclaim, 77, 0], FfaError.invalidParameters],
    ['a bitmap for another endpoint', [Ffa.notificationBitmapCreate, 5, 1], FfaError.invalidParameters],
    ['binding before there is a bitmap', [Ffa.notificationBind, 0x8001_0000, 0, 1], FfaError.invalidParameters],
    ['fetching before there is a bitmap', [Ffa.notificationGet, 0, 1], FfaError.invalidParameters],
  ];
  it.each(refused)('refuses %s', async (_, words, code) => {
    await map();
    expect(await smc(words)).toMatchObject({ a0: Ffa.error, a2: code });
    expect(world.ffaShareCount).toBe(0);
  });

  const mailboxes: readonly [string, Words][] = [
    ['unaligned', [Ffa.rxtxMap, transmit + 8, receive, 1]],
    ['outside memory', [Ffa.rxtxMap, 0x1000, receive, 1]],
    ['over each other', [Ffa.rxtxMap, transmit, receive, 2]],
    ['of no size', [Ffa.rxtxMap, transmit, receive, 0]],
  ];
  it.each(mailboxes)('refuses mailboxes %s', async (_, words) => {
    expect(await smc(words)).toMatchObject({ a0: Ffa.error, a2: FfaError.invalidParameters });
  });

  it('refuses memory before there are mailboxes', async () => {
    expect(await share([page()])).toMatchObject({ a0: Ffa.error, a2: FfaError.invalidParameters });
  });

  const transactions: readonly [string, () => ReturnType<typeof share>, number][] = [
    ['of another sender', () => share([page()], undefined, 3), FfaError.invalidParameters],
    ['with another receiver', () => share([page()], undefined, 0, 0x8002), FfaError.invalidParameters],
    ['of memory that is not there', () => share([{ base: 0x8000_0000, size: 4096 }]), FfaError.denied],
    ['of half pages', () => share([{ base: free + 100, size: 4096 }]), FfaError.invalidParameters],
    ['of one page twice', () => share([page(), page()]), FfaError.denied],
    ['of nothing', () => share([]), FfaError.invalidParameters],
    [
      'with another permission than to read and write',
      () => share([page()], (_, view) => view.setUint8(50, 0x06)),
      FfaError.invalidParameters,
    ],
    [
      'of memory with other attributes',
      () => share([page()], (_, view) => view.setUint16(2, 0x1f, true)),
      FfaError.invalidParameters,
    ],
    ['with two receivers', () => share([page()], (_, view) => view.setUint32(28, 2, true)), FfaError.invalidParameters],
    [
      'with a count that lies',
      () => share([page()], (_, view) => view.setUint32(68, 9, true)),
      FfaError.invalidParameters,
    ],
    [
      'with a page count that lies',
      () => share([page()], (_, view) => view.setUint32(64, 9, true)),
      FfaError.invalidParameters,
    ],
    [
      'with its ranges elsewhere',
      () => share([page()], (_, view) => view.setUint32(52, 0xffff_fff0, true)),
      FfaError.invalidParameters,
    ],
    [
      'with its receiver elsewhere',
      () => share([page()], (_, view) => view.setUint32(32, 0xffff_fff0, true)),
      FfaError.invalidParameters,
    ],
    [
      'of an address of 64 bits',
      () => share([page()], (_, view) => view.setUint32(84, 0xffff_ffff, true)),
      FfaError.denied,
    ],
  ];
  it.each(transactions)('refuses a transaction %s', async (_, transaction, code) => {
    await map();
    expect(await transaction()).toMatchObject({ a0: Ffa.error, a2: code });
    expect(world.ffaShareCount).toBe(0);
  });

  it('refuses to share a page that is shared', async () => {
    await map();
    await share([page(1)]);
    expect(await share([page(0), page(1)])).toMatchObject({ a0: Ffa.error, a2: FfaError.denied });
  });

  it('refuses to resume a thread that is not suspended', async () => {
    expect((await direct(OpteeFfa.yieldingCallResume, 0, 0, 0, 0)).a3).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect((await direct(OpteeFfa.yieldingCallResume, 0, 0, 0, 99)).a3).toBe(TeeResult.ERROR_BAD_PARAMETERS);
  });
});
