/** For tests and tools: the simulated secure world with its faults, virtual time, and recorded order. */
export { seededRandom } from './clock/random.js';
export { immediateSchedule, type Schedule } from './clock/schedule.js';
export { MemoryFileSystem } from './supplicant/memory-file-system.js';
export { MemoryTaStore } from './supplicant/ta-store.js';
export * from './worlds/simulated/index.js';
