import type { Context } from '../client/context.js';
import { type TemporaryMemref, temporary, value } from '../client/parameters.js';
import type { Session } from '../client/session.js';
import type { Tee } from '../client/tee.js';
import { TeeResult } from '../protocol/tee-result.js';
import { type Uuid, uuidFromStruct } from '../protocol/uuid.js';
import { TeecError } from '../tee/teec-error.js';

// OP-TEE's lib/libutee/include/pta_stats.h
const statisticsPta = 'd96a5b40-e2c7-b1af-8794-1002a5d5c61b';
const STATS_CMD_ALLOC_STATS = 1;
const STATS_CMD_TA_STATS = 3;
const [ALLOC_ID_ALL, ALLOC_ID_HEAP] = [0, 1];
/** struct pta_stats_alloc: its description, then six words. Since OP-TEE 4.10 there are eight bytes between them. */
const descriptionSize = 32;
const wordsSize = 24;
const poolSizes: readonly number[] = [descriptionSize + wordsSize, descriptionSize + 8 + wordsSize];
/** struct pta_stats_ta: a TEE_UUID and two words, then its heap. */
const heapOfApplicationAt = 24;

/** A heap, in bytes. */
export interface HeapMarks {
  /** OP-TEE's name for it. */
  readonly name: string;
  readonly size: number;
  readonly allocated: number;
  /** The maximum allocated size. */
  readonly highWater: number;
  /** The number of failed requests, the size of the largest, and the allocated size at that time. */
  readonly failures: number;
  readonly biggestFailure: number;
  readonly allocatedAtBiggestFailure: number;
}

/** The heap of a loaded application. */
export interface ApplicationHeap {
  readonly uuid: Uuid;
  readonly hasPanicked: boolean;
  readonly sessions: number;
  readonly heap: HeapMarks;
}

/** The heap statistics of an OP-TEE. */
export interface HeapStatistics {
  /** OP-TEE's own pools: among others its heap, and the memory into which applications are loaded. */
  readonly pools: readonly HeapMarks[];
  /** One entry per loaded application; undefined if OP-TEE was built without CFG_TA_STATS, like Debian's. */
  readonly applications: readonly ApplicationHeap[] | undefined;
  /** Why `applications` is undefined, and which build has it. */
  readonly missing: string | undefined;
}

/**
 * High-water marks of heaps, from OP-TEE's statistics PTA.
 * @throws TeecError ITEM_NOT_FOUND for an OP-TEE without that PTA (CFG_WITH_STATS).
 * @throws Error if the PTA's structures have an unknown size.
 */
export async function heapStatistics(tee: Tee): Promise<HeapStatistics> {
  await using context: Context = tee.openContext({ label: 'statistics' });
  const session = await context.openSession(statisticsPta);
  const poolSize = (await askPools(session, ALLOC_ID_HEAP)).length;
  if (!poolSizes.includes(poolSize))
    throw new Error(`OP-TEE tells a heap's statistics in ${poolSize} bytes: known are ${poolSizes.join(' or ')}`);
  // Entries for pools that this OP-TEE does not have are empty.
  const pools = records(await askPools(session, ALLOC_ID_ALL), poolSize)
    .map(marks)
    .filter(({ name, size }) => name !== '' || size > 0);
  try {
    const told = records(await askApplications(session), heapOfApplicationAt + poolSize);
    return { pools, applications: told.map(application), missing: undefined };
  } catch (error) {
    if (!(error instanceof TeecError && error.code === TeeResult.ERROR_NOT_SUPPORTED)) throw error;
    const missing =
      'this OP-TEE was built without CFG_TA_STATS, so it does not report the heaps of applications: use normalworld optee build --profiling';
    return { pools, applications: undefined, missing };
  }
}

function askPools(session: Session, id: number): Promise<Uint8Array> {
  return withRoom(async (memory) => (await session.invoke(STATS_CMD_ALLOC_STATS, [value.input(id, 0), memory]))[1]);
}

function askApplications(session: Session): Promise<Uint8Array> {
  return withRoom(async (memory) => (await session.invoke(STATS_CMD_TA_STATS, [memory]))[0]);
}

/** The output of a command. Repeated with a larger buffer while the PTA reports that it needs more. */
async function withRoom(ask: (memory: TemporaryMemref<'output'>) => Promise<Uint8Array>): Promise<Uint8Array> {
  for (let room = 1024; ; ) {
    try {
      return await ask(temporary.output(new Uint8Array(room)));
    } catch (error) {
      const needed =
        error instanceof TeecError && error.code === TeeResult.ERROR_SHORT_BUFFER ? error.sizes : undefined;
      const more = Math.max(0, ...(needed ?? []).map((size) => size ?? 0));
      if (more <= room) throw error;
      room = more;
    }
  }
}

function records(bytes: Uint8Array, size: number): DataView[] {
  return Array.from(
    { length: Math.floor(bytes.length / size) },
    (_, index) => new DataView(bytes.buffer, bytes.byteOffset + index * size, size),
  );
}

function marks(record: DataView): HeapMarks {
  const name = new Uint8Array(record.buffer, record.byteOffset, descriptionSize);
  const end = name.indexOf(0);
  const word = (index: number) => record.getUint32(record.byteLength - wordsSize + 4 * index, true);
  return {
    name: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)),
    ...{ allocated: word(0), highWater: word(1), size: word(2) },
    ...{ failures: word(3), biggestFailure: word(4), allocatedAtBiggestFailure: word(5) },
  };
}

function application(record: DataView): ApplicationHeap {
  return {
    uuid: uuidFromStruct(new Uint8Array(record.buffer, record.byteOffset, 16)),
    hasPanicked: record.getUint32(16, true) !== 0,
    sessions: record.getUint32(20, true),
    heap: marks(
      new DataView(record.buffer, record.byteOffset + heapOfApplicationAt, record.byteLength - heapOfApplicationAt),
    ),
  };
}
