import { channel } from 'node:diagnostics_channel';
import type { Trace } from '../trace.js';

/**
 * The channel of `node:diagnostics_channel` on which events are published, as `TimedTraceEvent`: for programs that watch
 * a TEE which somebody else opens. Subscribe before it is opened; a TEE that nobody watches then costs nothing.
 */
export const traceChannel = 'normalworld:trace';

/** Publish a stream on the channel if somebody has subscribed to it. */
export function publishTrace(trace: Trace): void {
  const events = channel(traceChannel);
  if (events.hasSubscribers) trace.listen((event) => events.publish(event));
}
