import type { Timeline } from '../timeline/timeline.js';
import { ProtobufWriter } from './protobuf-writer.js';
import { type SliceDetails, type TrackWriter, writeTracks } from './tracks.js';

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
/** SEQ_INCREMENTAL_STATE_CLEARED: the sequence does not depend on earlier packets. */
const stateCleared = 1;
const sequence = 1;

/** Size of a piece, in octets. */
const pieceSize = 1 << 18;

/** Export a timeline as a Perfetto trace (protobuf), which https://ui.perfetto.dev opens. Yields consecutive pieces. */
export function* exportPerfetto(timeline: Timeline): Generator<Uint8Array> {
  const writer = new PacketWriter(timeline.begin);
  for (const _ of writeTracks(timeline, writer)) if (writer.length >= pieceSize) yield writer.take();
  yield writer.take();
}

/** Writes a packet for each item of a trace. */
class PacketWriter implements TrackWriter {
  private readonly out = new ProtobufWriter();
  private first = true;
  /** The open packet, and the event in it. */
  private openPacket = 0;
  private openEvent = 0;

  /** @param origin the beginning of the trace, which becomes time 0, because Perfetto's times are not negative. */
  constructor(private readonly origin: number) {}

  get length(): number {
    return this.out.length;
  }

  take(): Uint8Array {
    return this.out.take();
  }

  group(id: number, name: string): void {
    this.descriptor(id, name, undefined, false);
  }

  track(id: number, group: number, name: string): void {
    this.descriptor(id, name, group, false);
  }

  counter(id: number, group: number, name: string): void {
    this.descriptor(id, name, group, true);
  }

  instant(track: number, time: number, name: string): void {
    this.begin(time, EventType.instant, track);
    this.out.string(TrackEvent.name, name);
    this.end();
  }

  count(counter: number, time: number, value: number): void {
    this.begin(time, EventType.counter, counter);
    this.out.varint(TrackEvent.counterValue, value);
    this.end();
  }

  beginSlice(
    track: number,
    start: number,
    _end: number,
    name: string,
    details: SliceDetails,
    flowsOut: readonly number[],
    flowsIn: readonly number[],
  ): void {
    const { out } = this;
    this.begin(start, EventType.sliceBegin, track);
    out.string(TrackEvent.name, name);
    for (const key in details) {
      const value = details[key];
      const annotation = out.begin(TrackEvent.debugAnnotations);
      out.string(DebugAnnotation.name, key);
      if (typeof value === 'number') out.varint(DebugAnnotation.intValue, value);
      else out.string(DebugAnnotation.stringValue, value ?? '');
      out.end(annotation);
    }
    for (const flow of flowsOut) out.fixed64(TrackEvent.flowIds, flow);
    for (const flow of flowsIn) out.fixed64(TrackEvent.terminatingFlowIds, flow);
    this.end();
  }

  endSlice(track: number, end: number): void {
    this.begin(end, EventType.sliceEnd, track);
    this.end();
  }

  private descriptor(id: number, name: string, parent: number | undefined, counter: boolean): void {
    const { out } = this;
    const packet = this.packet();
    const track = out.begin(Packet.trackDescriptor);
    out.varint(TrackDescriptor.uuid, id);
    if (parent === undefined) {
      const process = out.begin(TrackDescriptor.process);
      out.varint(ProcessDescriptor.pid, id);
      out.string(ProcessDescriptor.processName, name);
      out.end(process);
    } else {
      out.string(TrackDescriptor.name, name);
      out.varint(TrackDescriptor.parentUuid, parent);
    }
    if (counter) out.end(out.begin(TrackDescriptor.counter));
    out.end(track);
    out.end(packet);
  }

  private begin(time: number, type: number, track: number): void {
    const { out } = this;
    this.openPacket = this.packet();
    out.varint(Packet.timestamp, Math.round((time - this.origin) * 1e6));
    this.openEvent = out.begin(Packet.trackEvent);
    out.varint(TrackEvent.type, type);
    out.varint(TrackEvent.trackUuid, track);
  }

  private end(): void {
    this.out.end(this.openEvent);
    this.out.end(this.openPacket);
  }

  private packet(): number {
    const packet = this.out.begin(packetField);
    this.out.varint(Packet.sequenceId, sequence);
    if (this.first) this.out.varint(Packet.sequenceFlags, stateCleared);
    this.first = false;
    return packet;
  }
}
