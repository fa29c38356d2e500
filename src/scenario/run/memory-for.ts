import type { MemoryRange } from '../../protocol/physical-memory.js';
import type { Scenario } from '../scenario.js';

/** Bytes that every scenario needs, and additional bytes per caller. */
const baseMemory = 2 * 1024 * 1024;
const callerMemory = 64 * 1024;

/**
 * The memory that a scenario needs. It is kept small, because clearing and collecting it costs time in each of
 * thousands of runs.
 */
export function memoryFor({ clients, secureWorld }: Scenario): {
  readonly dram: MemoryRange;
  readonly reservedShm: MemoryRange | false;
} {
  const callers = [...clients.values()].reduce((sum, { count, callers: each }) => sum + count * each, 0);
  const size = baseMemory + callers * callerMemory;
  const reserved = size / 4;
  const base = 0x4000_0000;
  if (!secureWorld.reservedShm) return { dram: { base, size }, reservedShm: false };
  return { dram: { base, size }, reservedShm: { base: base + size - reserved, size: reserved } };
}
