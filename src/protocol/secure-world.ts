import type { Conduit, ConduitError } from './conduit.js';
import type { MemoryRange, PhysicalAddress, PhysicalMemory } from './physical-memory.js';

/** What a driver needs of a secure world, whichever it is. Disposing of it ends the calls inside with a `ConduitError`. */
export interface SecureWorld extends AsyncDisposable {
  /** What it is, for people: "simulated", "OP-TEE in QEMU". */
  readonly name: string;
  readonly conduit: Conduit;
  /**
   * Resolves with the reason when it cannot be reached any more: calls that wait in the normal world, of which no SMC is
   * inside, learn of it by this alone.
   */
  readonly ended?: Promise<ConduitError>;
  /** How OP-TEE is reached in it: `smc` when left out, or as an FF-A partition. */
  readonly abi?: 'smc' | 'ffa';
  readonly memory: PhysicalMemory;
  /** Page-aligned non-secure RAM that the driver may hand out as dynamic shared memory. Nobody else uses it. */
  readonly normalWorldRam: readonly MemoryRange[];
  /** Its memory as a file that other processes can map; not every world has one. */
  readonly memoryFile?: PhysicalMemoryFile;
  /** Secure world's interrupt to the normal world, by which it announces notifications; not every world has one. */
  readonly notificationInterrupt?: InterruptSource;
}

/** The same world but for what is given: for those who stand between it and a driver. */
export function secureWorldBut(world: SecureWorld, given: Partial<SecureWorld>): SecureWorld {
  const { name, conduit, abi, memory, normalWorldRam, memoryFile, notificationInterrupt, ended } = world;
  return {
    name,
    conduit,
    memory,
    normalWorldRam,
    ...(abi === undefined ? {} : { abi }),
    ...(ended === undefined ? {} : { ended }),
    ...(memoryFile === undefined ? {} : { memoryFile }),
    ...(notificationInterrupt === undefined ? {} : { notificationInterrupt }),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    ...given,
  };
}

/** An open file that holds physical memory. */
export interface PhysicalMemoryFile {
  readonly fd: number;
  /** The address of the file's first byte. */
  readonly base: PhysicalAddress;
}

/** An interrupt line, as the device tree would name it. */
export interface InterruptSource {
  /** Call the handler each time the interrupt is taken, outside any call, until the function returned is called. */
  listen(handler: () => void): () => void;
}
