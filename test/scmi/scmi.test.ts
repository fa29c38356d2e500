import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { openTee, type TaCall, type Tee, temporary, trustedApplication, value } from '../../src/index.js';
import { ScmiPtaCapability, ScmiPtaCommand, scmiPtaUuid } from '../../src/protocol/pta-scmi.js';
import { Smt, scmiHeader, smtError, smtFree, smtSize } from '../../src/protocol/scmi.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { ScmiAgent, ScmiProtocol, ScmiStatus, type ScmiTransport } from '../../src/scmi/index.js';
import { SimulatedClock, SimulatedRegulator, SimulatedReset, SimulatedWorld, scmiPta } from '../../src/testing.js';

function board() {
  const rates = Array.from({ length: 20 }, (_, index) => 1_000_000 * (index + 1));
  return {
    vendor: 'acme',
    clocks: [new SimulatedClock('emmc', [400_000, 52_000_000, 5_000_000_000]), new SimulatedClock('many', rates)],
    regulators: [new SimulatedRegulator('vmmc', { min: -1000, max: 3_300_000, step: 100 })],
    resets: [new SimulatedReset('emmc-reset')],
  };
}

const shmem = 0x43f0_0000;
const ways: readonly [string, (world: SimulatedWorld) => ScmiTransport][] = [
  ['MSG', () => 'msg'],
  ['SMT in dynamic shared memory', () => 'smt'],
  ['SMT in static shared memory', (world) => ({ smtMemory: () => world.memory.window(shmem, smtSize) })],
];

async function open(transport: (world: SimulatedWorld) => ScmiTransport = () => 'msg', threads = 2) {
  const platform = board();
  const pta = scmiPta(platform, { channels: 3, smtMemory: () => world.memory.window(shmem, smtSize) });
  const world: SimulatedWorld = new SimulatedWorld({ threads, trustedApplications: [pta] });
  const tee = await openTee({ world });
  const agent = await ScmiAgent.open(tee, { transport: transport(world) });
  const close = async () => {
    await agent[Symbol.asyncDispose]();
    await tee.close();
    expect([tee.sharedMemoryInUse, world.sessionCount]).toEqual([0, 0]);
  };
  return { ...platform, world, tee, agent, close };
}

describe.each(ways)('an SCMI agent over %s', (_, transport) => {
  it('reads the properties of the platform', async () => {
    const { agent, close } = await open(transport);
    expect(await agent.base.vendor()).toBe('acme');
    expect(await agent.base.protocols()).toEqual([ScmiProtocol.clock, ScmiProtocol.reset, ScmiProtocol.voltage]);
    expect(await agent.clocks.version()).toBe(0x1_0000);
    await close();
  });

  it('switches clocks and sets their rates', async () => {
    const { agent, clocks, close } = await open(transport);
    expect(await agent.clocks.count()).toBe(2);
    expect(await agent.clocks.describeClock(0)).toEqual({ name: 'emmc', enabled: false });
    expect(await agent.clocks.rates(0)).toEqual({ values: [400_000, 52_000_000, 5_000_000_000] });
    expect(await agent.clocks.rates(1)).toEqual({ values: clocks[1]?.rates });
    await agent.clocks.enable(0);
    await agent.clocks.setRate(0, 5_000_000_000);
    expect(clocks[0]).toMatchObject({ enabled: true, rate: 5_000_000_000 });
    expect(await agent.clocks.rate(0)).toBe(5_000_000_000);
    await agent.clocks.disable(0);
    expect(clocks[0]?.enabled).toBe(false);
    await close();
  });

  it('switches regulators and sets their levels, below zero too', async () => {
    const { agent, regulators, close } = await open(transport);
    expect(await agent.voltages.count()).toBe(1);
    expect(await agent.voltages.describeDomain(0)).toEqual({ name: 'vmmc' });
    expect(await agent.voltages.levels(0)).toEqual({ min: -1000, max: 3_300_000, step: 100 });
    expect(await agent.voltages.level(0)).toBe(-1000);
    await agent.voltages.setLevel(0, 1_800_000);
    expect(await agent.voltages.enabled(0)).toBe(false);
    await agent.voltages.enable(0);
    expect(await agent.voltages.enabled(0)).toBe(true);
    expect(regulators[0]).toMatchObject({ enabled: true, level: 1_800_000 });
    await agent.voltages.disable(0);
    expect(regulators[0]?.enabled).toBe(false);
    await close();
  });

  it('resets', async () => {
    const { agent, resets, close } = await open(transport);
    expect(await agent.resets.count()).toBe(1);
    expect(await agent.resets.describeDomain(0)).toEqual({ name: 'emmc-reset' });
    await agent.resets.reset(0);
    expect(resets[0]).toMatchObject({ asserted: false, resets: 1 });
    await agent.resets.assert(0);
    expect(resets[0]?.asserted).toBe(true);
    await agent.resets.deassert(0);
    expect(resets[0]).toMatchObject({ asserted: false, resets: 2 });
    await close();
  });

  it("gets the platform's errors for invalid requests", async () => {
    const { agent, close } = await open(transport);
    const { clocks, voltages, resets } = agent;
    await expect(clocks.enable(7)).rejects.toMatchObject({ name: 'ScmiError', status: ScmiStatus.invalidParameters });
    await expect(clocks.setRate(0, 1)).rejects.toMatchObject({ status: ScmiStatus.invalidParameters });
    await expect(voltages.setLevel(0, 9_000_000)).rejects.toThrow(/setting domain 0 to 9000000 uV: OUT_OF_RANGE/);
    await expect(voltages.setLevel(0, -950)).rejects.toMatchObject({ status: ScmiStatus.invalidParameters });
    await expect(resets.reset(9)).rejects.toMatchObject({ status: ScmiStatus.notFound });
    await clocks.enable(0);
    await close();
  });

  it('sends one message at a time, in order', async () => {
    const { agent, clocks, close } = await open(transport);
    await Promise.all([agent.clocks.enable(0), agent.clocks.setRate(0, 52_000_000), agent.clocks.disable(0)]);
    expect(clocks[0]).toMatchObject({ enabled: false, rate: 52_000_000 });
    await close();
  });
});

describe('channels', () => {
  it('are system sessions, one for each id', async () => {
    const { tee, close } = await open();
    const agent = await ScmiAgent.open(tee, { channels: { clock: 1, voltage: 2 } });
    expect(agent.system).toBe(true);
    expect(tee.queueState().counters.reservations).toBe(4);
    await agent[Symbol.asyncDispose]();
    expect(tee.queueState().counters.reservations).toBe(1);
    await close();
  });

  it('work from their first message on while normal calls hold every other thread', async () => {
    const stuck = trustedApplication({
      uuid: '55555555-0000-4000-8000-000000000001',
      kind: 'pseudo',
      concurrent: true,
      create: () => ({ invokeCommand: (call) => call.wait(60_000) }),
    });
    for (const transport of ['msg', 'smt'] as const) {
      const clock = new VirtualClock();
      const platform = board();
      const tee = await openTee({ clock, trustedApplications: [stuck, scmiPta(platform)] });
      const agent = await ScmiAgent.open(tee, { transport });
      const session = await tee.openContext().openSession(stuck.uuid);
      const calls = Array.from({ length: 5 }, () => session.invoke(0).catch(() => undefined));
      await clock.advance(10);
      await agent.clocks.enable(0);
      expect(platform.clocks[0]?.enabled).toBe(true);
      expect(clock.now()).toBe(10);
      const closed = tee.close();
      await clock.run();
      await Promise.all([closed, ...calls]);
    }
  });

  it('work if no thread can be reserved, and report it', async () => {
    const { agent, close } = await open(undefined, 1);
    expect(agent.system).toBe(false);
    await agent.clocks.enable(0);
    await close();
  });

  it('that do not exist leave nothing behind', async () => {
    const { tee, close } = await open();
    await expect(ScmiAgent.open(tee, { channels: { clock: 9 } })).rejects.toMatchObject({
      code: TeeResult.ERROR_BAD_PARAMETERS,
    });
    expect(tee.queueState().counters.reservations).toBe(1);
    await close();
  });

  it('need a service with the transport', async () => {
    const tee = await openTee({ trustedApplications: [scmiPta(board(), { capabilities: ScmiPtaCapability.msg })] });
    await expect(ScmiAgent.open(tee, { transport: 'smt' })).rejects.toMatchObject({ status: ScmiStatus.notSupported });
    await tee.close();
    const without = await openTee();
    await expect(ScmiAgent.open(without)).rejects.toMatchObject({ code: TeeResult.ERROR_ITEM_NOT_FOUND });
    await without.close();
  });
});

describe('an untrusted platform', () => {
  const words = (...values: readonly number[]) => {
    const view = new DataView(new ArrayBuffer(values.length * 4));
    values.forEach((word, index) => {
      view.setUint32(index * 4, word >>> 0, true);
    });
    return new Uint8Array(view.buffer);
  };
  const hostile = (answer: (header: number) => Uint8Array) =>
    trustedApplication({
      uuid: scmiPtaUuid,
      kind: 'pseudo',
      create: () => ({
        invokeCommand(call: TaCall) {
          if (call.command === ScmiPtaCommand.capabilities) call.value(0).a = 3;
          if (call.command !== ScmiPtaCommand.processMsgChannel) return;
          const bytes = answer(new DataView(call.memref(1).read().buffer).getUint32(0, true));
          call.memref(2).size = bytes.length;
          call.memref(2).write(bytes.subarray(0, call.memref(2).capacity));
        },
      }),
    });

  const answers: readonly [string, (header: number) => Uint8Array, (agent: ScmiAgent) => Promise<unknown>, RegExp][] = [
    ['nothing', () => words(), ({ clocks }) => clocks.enable(0), /an answer of 0 bytes/],
    ['a header alone', (header) => words(header), ({ clocks }) => clocks.enable(0), /an answer of 4 bytes/],
    ['to another command', (header) => words(header ^ 1, 0), ({ clocks }) => clocks.enable(0), /sent header/],
    [
      'to an earlier command',
      (header) => words(header ^ (1 << 18), 0),
      ({ clocks }) => clocks.enable(0),
      /sent header/,
    ],
    ['a status nobody knows', (header) => words(header, -99), ({ clocks }) => clocks.enable(0), /status -99/],
    ['too little', (header) => words(header, 0), ({ clocks }) => clocks.rate(0), /0 bytes, expected 8/],
    [
      'rates that are not there',
      (h) => words(h, 0, 5, 1, 0),
      ({ clocks }) => clocks.rates(0),
      /5 values and 0 more in 12/,
    ],
    [
      'rates without end',
      (h) => words(h, 0, 1 | (9 << 16), 1, 0),
      ({ clocks }) => clocks.rates(0),
      /1 values and 9 more/,
    ],
    ['no rates, but more', (h) => words(h, 0, 9 << 16), ({ clocks }) => clocks.rates(0), /0 values and 9 more/],
    ['a range of two', (h) => words(h, 0, 2 | 0x1000, 1, 2), ({ voltages }) => voltages.levels(0), /range of 2 values/],
    ['protocols without end', (h) => words(h, 0, 200), ({ base }) => base.protocols(), /200 in 4 bytes, 200 in all/],
  ];
  it.each(answers)('and answers %s gets a protocol error', async (_, answer, act, message) => {
    const tee = await openTee({ trustedApplications: [hostile(answer)] });
    const agent = await ScmiAgent.open(tee);
    await expect(act(agent)).rejects.toThrow(message);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });
});

describe('the SCMI service', () => {
  async function channel(tee: Tee) {
    const session = await tee.openKernelContext().openSession(scmiPtaUuid);
    const [{ a: handle }] = await session.invoke(ScmiPtaCommand.getChannelHandle, [value.inout(0, 1)]);
    return { session, handle };
  }

  const clock = (message: number) => scmiHeader(ScmiProtocol.clock, message, 0);
  const messages: readonly [string, number, readonly number[], number][] = [
    ['an unknown protocol', scmiHeader(0x7f, 0, 0), [], ScmiStatus.notSupported],
    ['an unknown message', clock(99), [], ScmiStatus.notSupported],
    ['a message without its words', clock(7), [], ScmiStatus.protocolError],
    ['a mode that is none', clock(7), [0, 2], ScmiStatus.invalidParameters],
    ['rates beyond the last', clock(4), [0, 99], ScmiStatus.outOfRange],
    ['attributes of an unknown message', clock(2), [99], ScmiStatus.notFound],
  ];
  it.each(messages)('refuses %s', async (_, header, payload, status) => {
    const { tee, close } = await open();
    const { session, handle } = await channel(tee);
    const [, , answer] = await session.invoke(ScmiPtaCommand.processMsgChannel, [
      value.input(handle),
      temporary.input(new Uint8Array(Uint32Array.from([header, ...payload]).buffer)),
      temporary.output(128),
    ]);
    const view = new DataView(answer.slice().buffer);
    expect([view.getUint32(0, true), view.getInt32(4, true)]).toEqual([header, status]);
    await close();
  });

  it.each([
    ['shorter than a header', new Uint8Array(3)],
    ['of odd length', new Uint8Array(5)],
    ['that is no command', new Uint8Array(Uint32Array.of(clock(0) | (3 << 8)).buffer)],
  ])('refuses a message %s', async (_, message) => {
    const { tee, close } = await open();
    const { session, handle } = await channel(tee);
    await expect(
      session.invoke(ScmiPtaCommand.processMsgChannel, [
        value.input(handle),
        temporary.input(message),
        temporary.output(128),
      ]),
    ).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
    await close();
  });

  it.each([
    ['while the channel is free', smtFree, 8],
    ['shorter than a header', 0, 2],
    ['longer than the buffer', 0, 4096],
  ])('marks an SMT buffer with a message %s', async (_, status, length) => {
    const { tee, close } = await open();
    const { session, handle } = await channel(tee);
    const buffer = new Uint8Array(smtSize);
    const view = new DataView(buffer.buffer);
    view.setUint32(Smt.status, status, true);
    view.setUint32(Smt.length, length, true);
    view.setUint32(Smt.header, clock(0), true);
    await session.invoke(ScmiPtaCommand.processSmtChannelMessage, [value.input(handle), temporary.inout(buffer)]);
    expect(view.getUint32(Smt.status, true)).toBe(smtFree | smtError);
    await close();
  });

  it('accepts its own handles only', async () => {
    const { tee, close } = await open();
    const { session, handle } = await channel(tee);
    for (const wrong of [0, handle + 3, 0xffff_ffff])
      await expect(session.invoke(ScmiPtaCommand.processSmtChannel, [value.input(wrong)])).rejects.toMatchObject({
        code: TeeResult.ERROR_BAD_PARAMETERS,
      });
    await close();
  });
});
