/** normalworld/trace: events, recorders and the reader. Does not need Node. */

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
export { type BoardVerdict, boardVerdict } from './linux/board-verdict.js';
export { importLinuxTrace, type LinuxImport, type LinuxImportOptions } from './linux/import-linux.js';
export { MemoryRecorder, type MemoryRecorderOptions } from './nwt/memory-recorder.js';
export { type TraceDamage, TraceFormatError, TraceReader } from './nwt/trace-reader.js';
export { readTrace, TraceTable } from './nwt/trace-table.js';
export { rpcName } from './rpc-name.js';
export { type CallName, CallNames } from './timeline/call-names.js';
export { type Spread, type TraceStats, traceStats } from './timeline/stats.js';
export {
  CallState,
  type Notification,
  type RpcWait,
  type Segment,
  Timeline,
  type WakeUp,
} from './timeline/timeline.js';
export { Trace, type TraceRecorder } from './trace.js';
export { checkedVerdict, type TraceVerdict } from './verdict.js';
export { type HangReport, hangReport, type LongCall, type Starved } from './waits/hang-report.js';
export { knots, type WaitsFor } from './waits/wait-cycle.js';
export { holdsThread, systemSessionsAfter, type Wait, type WaitGraph, waitGraph } from './waits/wait-graph.js';
export { deadlockWords, waitWords } from './waits/wait-words.js';
