import type { Timeline } from '../timeline/timeline.js';
import { type Slice, tracks } from './tracks.js';

/**
 * Export a timeline as Chrome's trace-event JSON ("JSON Object Format"), which chrome://tracing and Perfetto's UI open.
 * Yields consecutive pieces of text.
 */
export function* exportChrome(timeline: Timeline): Generator<string> {
  const groupOf = new Map<number, number>();
  const counters = new Map<number, string>();
  let first = true;
  const line = (event: object) => {
    const text = `${first ? '{"displayTimeUnit":"ms","traceEvents":[\n' : ',\n'}${JSON.stringify(event)}`;
    first = false;
    return text;
  };
  const micro = (ms: number) => ms * 1000;
  function* slice(each: Slice): Generator<string> {
    const at = { pid: groupOf.get(each.track), tid: each.track };
    const ts = micro(each.start);
    yield line({ ph: 'X', ...at, ts, dur: micro(each.end - each.start), name: each.name, args: each.details });
    for (const inner of each.inner) yield* slice(inner);
    for (const id of each.flowsOut) yield line({ ph: 's', ...at, ts, id, name: 'flow', cat: 'flow' });
    for (const id of each.flowsIn) yield line({ ph: 'f', bp: 'e', ...at, ts, id, name: 'flow', cat: 'flow' });
  }
  for (const item of tracks(timeline))
    switch (item.kind) {
      case 'group':
        yield line({ ph: 'M', pid: item.id, name: 'process_name', args: { name: item.name } });
        break;
      case 'track':
        groupOf.set(item.id, item.group);
        yield line({ ph: 'M', pid: item.group, tid: item.id, name: 'thread_name', args: { name: item.name } });
        yield line({
          ph: 'M',
          pid: item.group,
          tid: item.id,
          name: 'thread_sort_index',
          args: { sort_index: item.id },
        });
        break;
      case 'counter':
        groupOf.set(item.id, item.group);
        counters.set(item.id, item.name);
        break;
      case 'slice':
        yield* slice(item);
        break;
      case 'instant':
        yield line({
          ph: 'i',
          s: 't',
          pid: groupOf.get(item.track),
          tid: item.track,
          ts: micro(item.time),
          name: item.name,
        });
        break;
      case 'count':
        yield line({
          ph: 'C',
          pid: groupOf.get(item.counter),
          ts: micro(item.time),
          name: counters.get(item.counter),
          args: { calls: item.value },
        });
        break;
      default:
        item satisfies never;
    }
  yield ']}\n';
}
