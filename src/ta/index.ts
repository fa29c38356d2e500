/** For developers of trusted applications: header, image and build of a TA. */

export { type CodeBlock, CoverageMap } from '../coverage/coverage-map.js';
export { coveragePlugin, type QemuPluginName, qemuPlugin } from '../coverage/coverage-plugin.js';
export { ProfileMap, type ProfileNode } from '../coverage/profile-map.js';
export { type BuildTaOptions, type BuiltTa, buildTa } from './build-ta.js';
export { ConsoleLog, type ConsoleLogOptions } from './console-log.js';
export { findKit } from './find-kit.js';
export {
  type ApplicationHeap,
  type HeapMarks,
  type HeapStatistics,
  heapStatistics,
} from './heap-statistics.js';
export { type KnownKeys, knownKeys } from './image-judge.js';
export { type InspectTaOptions, inspectTa } from './inspect-ta.js';
export { type SigningKey, signingKey } from './signing-keys.js';
export { type TaHeader, taHeader } from './ta-header.js';
export type { TaFault, TaReport } from './ta-report.js';
export { findTaSources, type TaSources } from './ta-sources.js';
