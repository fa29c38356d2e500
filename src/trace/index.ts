/** normalworld/trace: the stream of events, recorders, the reader. Runs without Node. */
export { type CallName, CallNames } from './call-names.js';
export type {
  CallPurpose,
  TimedTraceEvent,
  TraceEvent,
  TraceListener,
  TraceSubject,
} from './event.js';
export { rpcCommandNotRecorded } from './event.js';
export { decodeEvents, EventKind, encodeEvent, flagBit, kindMask, type TraceSink } from './event-codec.js';
export { exportChrome } from './export/chrome.js';
export { exportPerfetto } from './export/perfetto.js';
export { type HangReport, hangReport, type LongCall, type Starved } from './hang-report.js';
export { type BoardVerdict, boardVerdict } from './linux/board-verdict.js';
export { importLinuxTrace, type LinuxImport, type LinuxImportOptions } from './linux/import-linux.js';
export { MemoryRecorder, type MemoryRecorderOptions } from './memory-recorder.js';
export { rpcName } from './rpc-name.js';
export { type Spread, type TraceStats, traceStats } from './stats.js';
export { CallState, type Notification, type RpcWait, type Segment, Timeline, type WakeUp } from './timeline.js';
export { Trace, type TraceRecorder } from './trace.js';
export { type TraceDamage, TraceFormatError, TraceReader } from './trace-reader.js';
export { readTrace, TraceTable } from './trace-table.js';
export { checkedVerdict, type TraceVerdict } from './verdict.js';
export { knots, type WaitsFor } from './wait-cycle.js';
export { holdsThread, systemSessionsAfter, type Wait, type WaitGraph, waitGraph } from './wait-graph.js';
export { deadlockWords, waitWords } from './wait-words.js';
