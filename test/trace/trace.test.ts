import { channel } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { machineClock } from '../../src/clock/clock.js';
import { openTee, Trace } from '../../src/index.js';
import { OpteeSmc, OpteeSmcReturn } from '../../src/protocol/optee-smc.js';
import { traceChannel } from '../../src/trace/node/index.js';
import { eventsOf, recorded, sleeper, sleeperUuid } from './record.js';

describe('the trace of a run', () => {
  it('has a call from begin to end, with its purpose', async () => {
    const table = await recorded({}, async (tee) => {
      const session = await tee.openContext({ label: 'alice' }).openSession(sleeperUuid);
      await session.invoke(5);
      await session.close();
    });
    const events = [...table.events()];
    const begin = eventsOf(events, 'call-begin').find(({ purpose }) => purpose === 'invoke');
    expect(begin).toMatchObject({ context: 'alice', system: false });
    expect(eventsOf(events, 'world-enter').find(({ call }) => call === begin?.call)?.function).toBe(
      OpteeSmc.callWithRpcArg,
    );
    const end = eventsOf(events, 'call-end').find(({ call }) => call === begin?.call);
    expect(end).toMatchObject({ smcReturn: OpteeSmcReturn.ok, time: (begin?.time ?? 0) + 5 });
    expect(eventsOf(events, 'session-open')).toMatchObject([{ context: 'alice', uuid: sleeperUuid }]);
    expect(eventsOf(events, 'session-close')).toMatchObject([{ context: 'alice' }]);
    expect(table.subject).toMatchObject({ world: 'simulated', queue: 'hand-off', threads: 2, clock: 'virtual' });
  });

  it('says which call woke which', async () => {
    const table = await recorded({ simulated: { threads: 1 } }, async (tee) => {
      const context = tee.openContext();
      const first = await context.openSession(sleeperUuid);
      const second = await context.openSession(sleeperUuid);
      await Promise.all([first.invoke(10), second.invoke(10)]);
    });
    const [earlier, later] = eventsOf(table.events(), 'call-begin').filter(({ purpose }) => purpose === 'invoke');
    expect(eventsOf(table.events(), 'queue-sleep')).toMatchObject([{ call: later?.call, limit: false }]);
    expect(eventsOf(table.events(), 'queue-wake')).toMatchObject([
      { call: later?.call, by: earlier?.call, asleep: true },
    ]);
  });

  it("shows a wake-up that Linux's queue gives to a caller inside secure world", async () => {
    const table = await recorded({ queue: 'linux-6.8' }, async (tee) => {
      const context = tee.openContext();
      const sessions = [];
      for (let index = 0; index < 3; index++) sessions.push(await context.openSession(sleeperUuid));
      await Promise.all([sessions[0]?.invoke(10), sessions[1]?.invoke(30), sessions[2]?.invoke(1)]);
    });
    const [first, second, third] = eventsOf(table.events(), 'call-begin').filter(({ purpose }) => purpose === 'invoke');
    expect(eventsOf(table.events(), 'queue-wake')).toMatchObject([
      { call: second?.call, by: first?.call, asleep: false },
      { call: third?.call, by: second?.call, asleep: true },
    ]);
  });

  it('has the faults of the simulated world', async () => {
    const table = await recorded(
      { simulated: { faults: { trustedApplication: ({ entry }) => (entry === 'invoke' ? { panic: 7 } : undefined) } } },
      async (tee) => {
        const session = await tee.openContext().openSession(sleeperUuid);
        await session.invoke(5);
      },
    );
    expect(eventsOf(table.events(), 'simulated-fault')).toMatchObject([
      { what: `invoke of ${sleeperUuid}: panic 0x7` },
    ]);
  });

  it('creates nothing without listeners', async () => {
    const trace = new Trace(machineClock);
    const seen: string[] = [];
    const stop = trace.listen((event) => seen.push(event.type));
    stop();
    expect(trace.on).toBe(false);
    trace.mark('unheard');
    expect(seen).toEqual([]);
  });

  it('is published to subscribers of the channel', async () => {
    const types: unknown[] = [];
    const listener = (event: unknown) => types.push((event as { type: string }).type);
    channel(traceChannel).subscribe(listener);
    try {
      const tee = await openTee({ trustedApplications: [sleeper] });
      await tee.openContext().openSession(sleeperUuid);
      await tee.close();
    } finally {
      channel(traceChannel).unsubscribe(listener);
    }
    expect(types).toContain('session-open');
  });
});
