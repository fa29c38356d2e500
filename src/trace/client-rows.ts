import type { Timeline } from './timeline.js';

export interface ClientRows {
  /** By call: the row of its client in which it lies. */
  readonly row: Uint32Array;
  /** By client: how many rows it needs. */
  readonly rows: readonly number[];
}

/** Put calls of one client that overlap below each other: each into the first row that is free. */
export function clientRows(timeline: Timeline): ClientRows {
  const row = new Uint32Array(timeline.callCount);
  /** By client and row: the record at which the last call there ends. */
  const ends: number[][] = timeline.clients.map(() => []);
  for (let call = 0; call < timeline.callCount; call++) {
    const client = ends[timeline.callClient.at(call)];
    if (client === undefined) continue;
    const begin = timeline.callBeginRecord.at(call);
    let free = client.findIndex((end) => end <= begin);
    if (free < 0) free = client.length;
    client[free] = timeline.callEndRecord.at(call);
    row[call] = free;
  }
  return { row, rows: ends.map((client) => client.length) };
}
