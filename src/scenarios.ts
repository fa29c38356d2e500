/** normalworld/scenario: running and exploring workloads on a simulated secure world. */
export {
  type ExploreScenarioOptions,
  exploreScenario,
  type ScenarioExploration,
} from './explore/driver/explore-scenario.js';
export { type Expectation, parseExpectation, unmet } from './scenario/expectation.js';
export { type JsonSchema, type ScenarioJsonSchema, scenarioJsonSchema } from './scenario/file/json-schema.js';
export { type LocatedProblem, parseScenario, ScenarioFileError } from './scenario/file/scenario-file.js';
export { KERNEL_QUEUES, queueOfKernel } from './scenario/kernel-queue.js';
export { textReport } from './scenario/report/text-report.js';
export { type Progress, type RunScenarioOptions, runScenario } from './scenario/run-scenario.js';
export {
  type QueueSeeds,
  type RunSeedsOptions,
  runSeeds,
  type SeedCount,
  type SeedsResult,
} from './scenario/run-seeds.js';
export type { Scenario } from './scenario/scenario.js';
export {
  type ClientResult,
  OUTCOMES,
  type Outcome,
  type RunResult,
  type ScenarioResult,
} from './scenario/scenario-result.js';
