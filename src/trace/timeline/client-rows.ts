import { SpanRows } from './number-heap.js';
import type { Timeline } from './timeline.js';

export interface ClientRows {
  /** By call: the row of its client. */
  readonly row: Uint32Array;
  /** By client: its number of rows. */
  readonly rows: readonly number[];
}

/** Distribute overlapping calls of a client to rows: each to the first free row. */
export function clientRows(timeline: Timeline): ClientRows {
  const row = new Uint32Array(timeline.callCount);
  const clients = timeline.clients.map(() => new SpanRows());
  for (let call = 0; call < timeline.callCount; call++) {
    const client = clients[timeline.callClient.at(call)];
    if (client === undefined) continue;
    row[call] = client.take(timeline.callBeginRecord.at(call), timeline.callEndRecord.at(call));
  }
  return { row, rows: clients.map(({ count }) => count) };
}
