import { channel } from 'node:diagnostics_channel';
import type { Trace } from '../trace.js';

/**
 * The channel of `node:diagnostics_channel` on which events are published as `TimedTraceEvent`, for programs that watch
 * a TEE opened by other code. Subscribe before the TEE is opened; without a subscriber nothing is published, which
 * costs nothing.
 */
export const traceChannel = 'normalworld:trace';

/** Publish a trace on the channel if there are subscribers. */
export function publishTrace(trace: Trace): void {
  const events = channel(traceChannel);
  if (events.hasSubscribers) trace.listen((event) => events.publish(event));
}
