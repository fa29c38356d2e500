import type { Timeline } from '../timeline.js';
import { ProtobufWriter } from './protobuf-writer.js';
import { type Slice, tracks } from './tracks.js';

// Field numbers: perfetto_trace.proto of google/perfetto.
const packetField = 1;
const Packet = { timestamp: 8, sequenceId: 10, trackEvent: 11, sequenceFlags: 13, trackDescriptor: 60 } as const;
const TrackDescriptor = { uuid: 1, name: 2, process: 3, parentUuid: 5, counter: 8 } as const;
const ProcessDescriptor = { pid: 1, processName: 6 } as const;
const TrackEvent = {
  debugAnnotations: 4,
  type: 9,
  trackUuid: 11,
  name: 23,
  counterValue: 30,
  flowIds: 47,
  terminatingFlowIds: 48,
} as const;
const EventType = { sliceBegin: 1, sliceEnd: 2, instant: 3, counter: 4 } as const;
const DebugAnnotation = { intValue: 4, stringValue: 6, name: 10 } as const;
/** SEQ_INCREMENTAL_STATE_CLEARED: the sequence depends on nothing before it. */
const stateCleared = 1;
const sequence = 1;

/** A timeline as a Perfetto trace (protobuf), which https://ui.perfetto.dev opens. In pieces that follow each other. */
export function* exportPerfetto(timeline: Timeline): Generator<Uint8Array> {
  let first = true;
  const packet = (write: (inner: ProtobufWriter) => void): Uint8Array =>
    new ProtobufWriter()
      .message(packetField, (inner) => {
        inner.varint(Packet.sequenceId, sequence);
        if (first) inner.varint(Packet.sequenceFlags, stateCleared);
        first = false;
        write(inner);
      })
      .finish();
  const descriptor = (id: number, name: string, parent: number | undefined, counter: boolean) =>
    packet((inner) =>
      inner.message(Packet.trackDescriptor, (track) => {
        track.varint(TrackDescriptor.uuid, id);
        if (parent === undefined)
          track.message(TrackDescriptor.process, (process) =>
            process.varint(ProcessDescriptor.pid, id).string(ProcessDescriptor.processName, name),
          );
        else track.string(TrackDescriptor.name, name).varint(TrackDescriptor.parentUuid, parent);
        if (counter) track.message(TrackDescriptor.counter, () => undefined);
      }),
    );
  // Times are from the beginning of the trace: Perfetto's are positive.
  const nanoseconds = (ms: number) => Math.round((ms - timeline.begin) * 1e6);
  const event = (time: number, type: number, track: number, write: (inner: ProtobufWriter) => void) =>
    packet((inner) =>
      inner.varint(Packet.timestamp, nanoseconds(time)).message(Packet.trackEvent, (each) => {
        each.varint(TrackEvent.type, type).varint(TrackEvent.trackUuid, track);
        write(each);
      }),
    );
  function* slice(each: Slice): Generator<Uint8Array> {
    yield event(each.start, EventType.sliceBegin, each.track, (begin) => {
      begin.string(TrackEvent.name, each.name);
      for (const [name, value] of Object.entries(each.details))
        begin.message(TrackEvent.debugAnnotations, (annotation) => {
          annotation.string(DebugAnnotation.name, name);
          if (typeof value === 'number') annotation.varint(DebugAnnotation.intValue, value);
          else annotation.string(DebugAnnotation.stringValue, value);
        });
      for (const flow of each.flowsOut) begin.fixed64(TrackEvent.flowIds, flow);
      for (const flow of each.flowsIn) begin.fixed64(TrackEvent.terminatingFlowIds, flow);
    });
    for (const inner of each.inner) yield* slice(inner);
    yield event(each.end, EventType.sliceEnd, each.track, () => undefined);
  }
  for (const item of tracks(timeline))
    switch (item.kind) {
      case 'group':
        yield descriptor(item.id, item.name, undefined, false);
        break;
      case 'track':
        yield descriptor(item.id, item.name, item.group, false);
        break;
      case 'counter':
        yield descriptor(item.id, item.name, item.group, true);
        break;
      case 'slice':
        yield* slice(item);
        break;
      case 'instant':
        yield event(item.time, EventType.instant, item.track, (each) => each.string(TrackEvent.name, item.name));
        break;
      case 'count':
        yield event(item.time, EventType.counter, item.counter, (each) =>
          each.varint(TrackEvent.counterValue, item.value),
        );
        break;
      default:
        item satisfies never;
    }
}
