/** normalworld/trace: the stream of events, recorders, the reader. Runs without Node. */
export type {
  CallPurpose,
  TimedTraceEvent,
  TraceEvent,
  TraceListener,
  TraceSubject,
} from './event.js';
export { rpcCommandNotRecorded } from './event.js';
export { decodeEvents, EventKind, encodeEvent, flagBit, kindMask, type TraceSink } from './event-codec.js';
export { MemoryRecorder, type MemoryRecorderOptions } from './memory-recorder.js';
export { Trace, type TraceRecorder } from './trace.js';
export { type TraceDamage, TraceFormatError, TraceReader } from './trace-reader.js';
export { readTrace, TraceTable } from './trace-table.js';
