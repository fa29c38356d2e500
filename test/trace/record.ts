import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { openTee, type Tee, type TrustedApplication, trustedApplication } from '../../src/index.js';
import { MemoryRecorder, readTrace, type TimedTraceEvent, Trace, type TraceTable } from '../../src/trace/index.js';

export const sleeperUuid = 'c0ffee00-0000-4000-8000-00000000000a';

/** Computes for as many milliseconds as the command says. */
export const sleeper: TrustedApplication = trustedApplication({
  uuid: sleeperUuid,
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    async invokeCommand(call) {
      await call.wait(call.command);
    },
  }),
});

/** The same, for one session at a time: the others wait for its mutex in OP-TEE, out in the normal world. */
export const lonelyUuid = 'c0ffee00-0000-4000-8000-00000000000b';
export const lonely: TrustedApplication = trustedApplication({
  uuid: lonelyUuid,
  kind: 'pseudo',
  create: () => ({
    async invokeCommand(call) {
      await call.wait(call.command);
    },
  }),
});

type Options = NonNullable<Parameters<typeof openTee>[0]>;

/** Run something on a TEE of the simulated world, in virtual time until nothing moves, and give what was recorded. */
export async function recorded(
  options: Omit<Options, 'trace' | 'clock'>,
  run: (tee: Tee) => Promise<unknown>,
): Promise<TraceTable> {
  const clock = new VirtualClock();
  const trace = new Trace(clock);
  const recorder = new MemoryRecorder();
  trace.attach(recorder);
  const tee = await openTee({ trustedApplications: [sleeper, lonely], ...options, clock, trace });
  const running = run(tee);
  running.catch(() => undefined);
  await clock.run();
  return readTrace(recorder.toBytes());
}

/** The events of one type. */
export function eventsOf<T extends TimedTraceEvent['type']>(
  events: Iterable<TimedTraceEvent>,
  type: T,
): Extract<TimedTraceEvent, { type: T }>[] {
  return [...events].filter((event): event is Extract<TimedTraceEvent, { type: T }> => event.type === type);
}
