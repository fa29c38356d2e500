import type { Tee, TraceEvent } from '../../src/index.js';

/** Resolves when the trace has such an event. */
export function happened(tee: Tee, such: (event: TraceEvent) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = tee.trace.listen((event) => {
      if (!such(event)) return;
      stop();
      resolve();
    });
  });
}
