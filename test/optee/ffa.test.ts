import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import {
  type DisciplineName,
  memref,
  openTee,
  RpcCommand,
  type SmcRegisters,
  type TimedTraceEvent,
  temporary,
  trustedApplication,
  value,
} from '../../src/index.js';
import { smcRegisters } from '../../src/protocol/conduit.js';
import { Ffa, FfaError } from '../../src/protocol/ffa.js';
import { OpteeFfa } from '../../src/protocol/optee-ffa.js';
import { RpcNotification, RpcShmType } from '../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { CounterCommand, counterTa, type Faults, rpcValue, SimulatedWorld } from '../../src/testing.js';

/** Command 0 waits for notification value[0].a, 1 sends it, 2 allocates kernel memory by RPC, 3 computes. */
const gate = trustedApplication({
  uuid: '44444444-0000-4000-8000-000000000001',
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    async invokeCommand(call) {
      switch (call.command) {
        case 0:
        case 1: {
          const kind = call.command === 0 ? RpcNotification.wait : RpcNotification.send;
          return call.rpc(RpcCommand.notification, [rpcValue('input', kind, call.value(0).a)]);
        }
        case 2: {
          const memory = await call.allocateRpcMemory(10_000, RpcShmType.kernel);
          await call.freeRpcMemory(memory);
          return TeeResult.SUCCESS;
        }
        default:
          await call.compute(100);
          return TeeResult.SUCCESS;
      }
    },
  }),
});

async function open(options: { threads?: number; queue?: DisciplineName; faults?: Faults } = {}) {
  const clock = new VirtualClock();
  const { threads = 2, queue = 'hand-off', faults = {} } = options;
  const trustedApplications = [counterTa, gate];
  const world = new SimulatedWorld({ abi: 'ffa', clock, threads, faults, trustedApplications });
  const tee = await openTee({ clock, world, queue, trustedApplications });
  const events: TimedTraceEvent[] = [];
  tee.trace.listen((event) => events.push(event));
  const close = async () => {
    await tee.close();
    expect([tee.sharedMemoryInUse, world.sharedMemoryCount, world.ffaShareCount, world.sessionCount]).toEqual([
      0, 0, 0, 0,
    ]);
  };
  return { clock, world, tee, events, close };
}

describe('OP-TEE as an FF-A partition', () => {
  it('supports sessions, values, and memory of every kind, and releases all of it at the end', async () => {
    const { tee, close } = await open();
    const client = tee.openContext();
    const session = await client.openSession(counterTa.uuid);
    expect((await session.invoke(CounterCommand.add, [value.inout(5)]))[0]).toEqual({ a: 5, b: 5 });
    const data = Uint8Array.from({ length: 5000 }, (_, index) => index & 0xff);
    const echo = async () => session.invoke(CounterCommand.echo, [temporary.input(data), temporary.output(5000)]);
    expect((await echo())[1]).toEqual(data);
    const registered = await client.registerSharedMemory(new Uint8Array(2 * 2 ** 20).fill(7));
    const [, copy] = await session.invoke(CounterCommand.echo, [
      memref.input(registered),
      temporary.output(2 * 2 ** 20),
    ]);
    expect(copy.every((byte) => byte === 7)).toBe(true);
    await registered[Symbol.asyncDispose]();
    const [, nothing] = await session.invoke(CounterCommand.echo, [temporary.input(null), temporary.output(10)]);
    expect(nothing.length).toBe(0);
    await close();
  });

  it('distinguishes a null memory reference from shared memory', async () => {
    const { tee, close } = await open();
    const session = await tee.openContext().openSession(counterTa.uuid);
    await expect(
      session.invoke(CounterCommand.echo, [temporary.input(new Uint8Array(20)), temporary.output(null)]),
    ).rejects.toMatchObject({ code: TeeResult.ERROR_SHORT_BUFFER, sizes: [20, 20] });
    await close();
  });

  it('gets kernel memory by RPC, and is interrupted and resumed', async () => {
    const { clock, tee, events, close } = await open({ faults: { foreignInterruptPeriodMs: 30 } });
    const session = await tee.openContext().openSession(gate.uuid);
    await session.invoke(2);
    const computing = session.invoke(3);
    await clock.run();
    await computing;
    expect(clock.now()).toBe(100);
    expect(events.filter((event) => event.type === 'protocol-violation')).toEqual([]);
    await close();
  });

  it('notifies: a bottom half is a call through the queue', async () => {
    const { clock, world, tee, events, close } = await open();
    expect(world.notify(0)).toBe(true);
    await clock.run();
    expect(events).toContainEqual(expect.objectContaining({ type: 'call-begin', purpose: 'bottom-half' }));
    expect(tee.info.threadCount).toBe(0);
    await close();
  });
});

describe('system sessions over FF-A', () => {
  const capacities = [1, 2, 3, 7];
  it.each(capacities)('the capacity of a world with %i threads is learnt before the first client', async (threads) => {
    const { tee, world, close } = await open({ threads });
    expect(tee.queueState().counters.capacity).toBe(threads);
    expect(world.threads.every(({ state }) => state === 'free')).toBe(true);
    await close();
  });

  it('a missing thread is not counted', async () => {
    const { tee, close } = await open({ threads: 4, faults: { threadsMissing: 1 } });
    expect(tee.queueState().counters.capacity).toBe(3);
    await close();
  });

  /** Every thread waits for a notification that only a system session will send. */
  async function dependency(queue: DisciplineName) {
    const opened = await open({ queue });
    const { clock, tee } = opened;
    const kernel = await tee.openKernelContext().openSession(gate.uuid);
    const granted = kernel.systemSession();
    const session = await tee.openContext().openSession(gate.uuid);
    const other = await tee.openContext().openSession(gate.uuid);
    let ended = 0;
    const waiting = [session.invoke(0, [value.input(5)]), other.invoke(0, [value.input(6)])].map((call) =>
      call.finally(() => ended++),
    );
    await clock.run();
    const sent = kernel.invoke(1, [value.input(5)]).then(() => kernel.invoke(1, [value.input(6)]));
    await clock.run();
    return { ...opened, granted, ended: () => ended, waiting, sent };
  }

  it('work under hand-off: the call that others wait for gets through', async () => {
    const { granted, ended, waiting, sent, close } = await dependency('hand-off');
    expect(granted).toBe(true);
    await sent;
    await Promise.all(waiting);
    expect(ended()).toBe(2);
    await close();
  });

  it.each(['linux-6.7', 'linux-6.8', 'patch-v6'] as const)(
    'are refused by %s, which does not track threads there: the deadlock remains',
    async (queue) => {
      const { clock, tee, world, granted, ended, waiting, sent } = await dependency(queue);
      expect(granted).toBe(false);
      await clock.advance(60_000);
      expect(ended()).toBe(0);
      expect([...tee.waiting().notifications].sort()).toEqual([5, 6]);
      const gone = Promise.allSettled([...waiting, sent]);
      await world[Symbol.asyncDispose]();
      void gone;
    },
  );
});

describe('a hostile partition or partition manager', () => {
  const probes: readonly [string, number, (call: SmcRegisters) => SmcRegisters, RegExp][] = [
    ['does not support FF-A', Ffa.version, () => smcRegisters(FfaError.notSupported), /does not support FF-A/],
    ['has FF-A 1.0', Ffa.version, () => smcRegisters(0x0001_0000), /FF-A version is 1.0/],
    ['has FF-A 2.0', Ffa.version, () => smcRegisters(0x0002_0000), /FF-A version is 2.0/],
    ['lacks functions', Ffa.features, () => smcRegisters(Ffa.error, 0, FfaError.notSupported), /lacks function/],
    ['takes no mailboxes', Ffa.rxtxMap, () => smcRegisters(Ffa.error, 0, FfaError.noMemory), /FFA_NO_MEMORY/],
    ['has no OP-TEE', Ffa.partitionInfoGet, () => smcRegisters(Ffa.success, 0, 0, 24), /0 partitions/],
    ['has two OP-TEEs', Ffa.partitionInfoGet, () => smcRegisters(Ffa.success, 0, 2, 24), /2 partitions/],
    ['describes it otherwise', Ffa.partitionInfoGet, () => smcRegisters(Ffa.success, 0, 1, 8), /in 8 bytes/],
    [
      'does not answer messages',
      Ffa.msgSendDirectReq,
      () => smcRegisters(Ffa.success),
      /the answer was function 0x84000061/,
    ],
    ['is aborted', Ffa.msgSendDirectReq, () => smcRegisters(Ffa.error, 0, FfaError.aborted), /FFA_ABORTED/],
  ];
  it.each(probes)('that %s is refused with the reason', async (_, functionId, answer, message) => {
    const world = new SimulatedWorld({
      abi: 'ffa',
      faults: { smc: (call) => (call.a0 === functionId ? answer(call) : undefined) },
    });
    await expect(openTee({ world })).rejects.toThrow(message);
  });

  it('that refuses memory is reported with the size', async () => {
    let full = false;
    const world = new SimulatedWorld({
      abi: 'ffa',
      faults: {
        smc: ({ a0 }) => (full && a0 === Ffa.memShare ? smcRegisters(Ffa.error, 0, FfaError.noMemory) : undefined),
      },
    });
    const tee = await openTee({ world });
    full = true;
    await expect(tee.openContext().allocateSharedMemory(3 * 2 ** 20)).rejects.toThrow(
      'sharing 3145728 bytes of memory: FFA_NO_MEMORY: TEEC_ERROR_OUT_OF_MEMORY',
    );
    full = false;
    await tee.close();
  });

  const services: readonly [string, number, (call: SmcRegisters) => SmcRegisters, RegExp][] = [
    [
      'API version 9',
      OpteeFfa.getApiVersion,
      (call) => ({ ...call, a0: Ffa.msgSendDirectResp, a3: 9 }),
      /version is 9/,
    ],
    [
      'no RPC message',
      OpteeFfa.exchangeCapabilities,
      (call) => ({ ...call, a0: Ffa.msgSendDirectResp, a3: 0, a4: 0 }),
      /no space for RPC/,
    ],
    [
      'RPC messages of 255 parameters',
      OpteeFfa.exchangeCapabilities,
      (call) => ({ ...call, a0: Ffa.msgSendDirectResp, a3: 0, a4: 255 }),
      /255 RPC parameters/,
    ],
  ];
  it.each(services)('whose OP-TEE answers with %s is refused', async (_, service, answer, message) => {
    const world = new SimulatedWorld({
      abi: 'ffa',
      faults: { smc: (call) => (call.a0 === Ffa.msgSendDirectReq && call.a3 === service ? answer(call) : undefined) },
    });
    await expect(openTee({ world })).rejects.toThrow(message);
  });

  const response = (a3: number, a4 = 0) => smcRegisters(Ffa.msgSendDirectResp, 0x8001_0000, 0, a3, a4);
  const calls: readonly [string, () => SmcRegisters, RegExp][] = [
    ['an error', () => response(FfaError.denied), /refused the message with FFA_DENIED \(0xfffffffa\)/],
    ['nonsense', () => response(0x1234), /refused the message with 0x1234/],
    ['an FF-A error', () => smcRegisters(Ffa.error, 0, FfaError.denied), /FFA_DENIED/],
    ['another function', () => smcRegisters(Ffa.memFragRx), /the answer was function/],
  ];
  it.each(calls)('that answers a call with %s fails that call only', async (_, answer, message) => {
    let hostile = false;
    const { tee, close } = await open({
      faults: {
        smc: (call) => (hostile && call.a3 === OpteeFfa.yieldingCallWithArg ? answer() : undefined),
      },
    });
    const session = await tee.openContext().openSession(counterTa.uuid);
    hostile = true;
    await expect(session.invoke(CounterCommand.add, [value.inout(1)])).rejects.toThrow(message);
    hostile = false;
    await session.invoke(CounterCommand.add, [value.inout(1)]);
    await close();
  });

  it('that is busy when a call resumes violates the protocol: the call fails, the driver continues', async () => {
    let hostile = false;
    const { tee, world } = await open({
      faults: {
        smc: (call) =>
          hostile && call.a3 === OpteeFfa.yieldingCallResume ? response(TeeResult.ERROR_BUSY) : undefined,
      },
    });
    const session = await tee.openContext().openSession(gate.uuid);
    hostile = true;
    await expect(session.invoke(2)).rejects.toThrow(/refused to resume with TEE_ERROR_BUSY \(0xffff000d\)/);
    hostile = false;
    // Its thread is lost; the other one serves on.
    await (await tee.openContext().openSession(counterTa.uuid)).invoke(CounterCommand.add, [value.inout(1)]);
    await world[Symbol.asyncDispose]();
  });

  it('that returns a handle twice gets no second memory under it', async () => {
    let last: SmcRegisters | undefined;
    let hostile = false;
    const { tee, events } = await open({
      faults: {
        smcReturn: (registers, call) => {
          if (call.a0 !== Ffa.memShare) return undefined;
          if (hostile) return last;
          last = registers;
          return undefined;
        },
      },
    });
    const client = tee.openContext();
    await client.allocateSharedMemory(4096);
    hostile = true;
    await expect(client.allocateSharedMemory(4096)).rejects.toThrow(/is in use/);
    expect(events.some((event) => event.type === 'protocol-violation')).toBe(true);
    hostile = false;
    await tee.close();
  });

  it('may return a handle again after its memory was reclaimed', async () => {
    let first: SmcRegisters | undefined;
    let again = false;
    const { tee } = await open({
      faults: {
        smcReturn: (registers, call) => {
          if (call.a0 !== Ffa.memShare) return undefined;
          if (again) return first;
          first = registers;
          return undefined;
        },
      },
    });
    const client = tee.openContext();
    const memory = await client.allocateSharedMemory(4096);
    await memory[Symbol.asyncDispose]();
    again = true;
    await expect(client.allocateSharedMemory(4096)).resolves.toBeDefined();
    again = false;
    await tee.close().catch(() => undefined);
  });

  it('has its memory from the supplicant released when the TEE closes', async () => {
    const { tee, close } = await open({
      faults: { rpc: ({ message }) => (message?.cmd === RpcCommand.shmAlloc ? 'twice' : undefined) },
    });
    await tee.openContext().openSession(counterTa.uuid);
    expect(tee.sharedMemoryInUse).toBeGreaterThan(0);
    await close();
  });

  it('that does not relinquish memory keeps it: it is not reused', async () => {
    let hostile = false;
    const { tee, events } = await open({
      faults: {
        smc: (call) =>
          hostile && call.a0 === Ffa.memReclaim ? smcRegisters(Ffa.error, 0, FfaError.denied) : undefined,
      },
    });
    const memory = await tee.openContext().allocateSharedMemory(4096);
    const before = tee.sharedMemoryInUse;
    hostile = true;
    await expect(memory[Symbol.asyncDispose]()).rejects.toThrow(/FFA_DENIED/);
    hostile = false;
    expect(tee.sharedMemoryInUse).toBe(before);
    expect(events.some((event) => event.type === 'protocol-violation' && /FFA_DENIED/.test(event.what))).toBe(true);
    await tee.close();
  });
});
