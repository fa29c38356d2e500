/** normalworld/trace/node: trace files, and the diagnostics channel. */
export { traceChannel } from './publish-trace.js';
export { readTraceFile, TraceFile, type TraceFileOptions } from './trace-file.js';
export { type NamedTrace, viewerPage } from './viewer-page.js';
