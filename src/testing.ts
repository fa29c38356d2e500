/** For tests and tools: the simulated secure world with its faults, virtual time, and recorded order. */
export { ControlledSchedule } from './clock/controlled-schedule.js';
export { seededRandom } from './clock/random.js';
export { immediateSchedule, type Schedule } from './clock/schedule.js';
export { VirtualClock } from './clock/virtual-clock.js';
export { openTestTee, type TestTeeOptions, type TestWorld, testWorld } from './open-test-tee.js';
export { MemoryFileSystem } from './supplicant/memory-file-system.js';
export { MemoryTaStore } from './supplicant/ta-store.js';
export * from './worlds/simulated/index.js';
