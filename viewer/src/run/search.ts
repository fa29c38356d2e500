import { CallState } from '../../../src/trace/index.js';
import type { Run } from './run.js';
import { doing, purpose } from './words.js';

/** Calls of a run that match a search, in order. Undefined: no search. */
export type Matches = { readonly calls: Uint32Array; readonly marked: Uint8Array; readonly notes: readonly number[] };

/**
 * Find calls by number (`#12`), client, purpose, application, RPC command, or the words `unfinished` and `system`; and
 * console lines, faults and marks by their text.
 */
export function search(run: Run, text: string): Matches | undefined {
  const needle = text.trim().toLowerCase();
  if (needle === '') return undefined;
  const { timeline, table } = run;
  const marked = new Uint8Array(timeline.callCount);
  const found: number[] = [];
  /** Results by text: a trace has few different texts. */
  const known = new Map<string, boolean>();
  const has = (words: string) => {
    let answer = known.get(words);
    if (answer === undefined) {
      answer = words.toLowerCase().includes(needle);
      known.set(words, answer);
    }
    return answer;
  };
  const number = /^#?(\d+)$/.exec(needle)?.[1];
  const rpc = new Uint8Array(timeline.callCount);
  if (number === undefined)
    for (let segment = 0; segment < timeline.segmentCount; segment++) {
      const state = timeline.segmentState.at(segment);
      if (state !== CallState.rpc) continue;
      if (has(doing(timeline.segment(segment)))) rpc[timeline.segmentCall.at(segment)] = 1;
    }
  for (let call = 0; call < timeline.callCount; call++) {
    const match =
      number !== undefined
        ? timeline.callNumber.at(call) === Number(number)
        : rpc[call] === 1 ||
          has(timeline.clientOf(call)) ||
          has(purpose(run, call)) ||
          has(timeline.sessionUuid.get(timeline.callSession.at(call)) ?? '') ||
          (needle === 'unfinished' && timeline.isUnfinished(call)) ||
          (needle === 'system' && timeline.callSystem.at(call) === 1);
    if (!match) continue;
    marked[call] = 1;
    found.push(call);
  }
  const notes = timeline.notes.filter((record) => has(table.text(record)));
  return { calls: Uint32Array.from(found), marked, notes };
}
