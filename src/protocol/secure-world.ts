import type { Conduit, ConduitError } from './conduit.js';
import type { MemoryRange, PhysicalAddress, PhysicalMemory } from './physical-memory.js';
import type { Uuid } from './uuid.js';

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
  /** Non-secure memory at fixed places, which the platform keeps for other things than the driver: a device tree's `shmem`. */
  readonly platformMemory?: PhysicalMemory;
  /** Its memory as a file that other processes can map; not every world has one. */
  readonly memoryFile?: PhysicalMemoryFile;
  /** Resolves when everything that secure world has printed was told; worlds without a console have none. */
  readonly consoleIdle?: () => Promise<void>;
  /** Panics of trusted applications, where the world can tell: results say only that an application is dead. */
  readonly panics?: PanicSource;
  /** Secure world's interrupt to the normal world, by which it announces notifications; not every world has one. */
  readonly notificationInterrupt?: InterruptSource;
}

/** The same world but for what is given: for those who stand between it and a driver. */
export function secureWorldBut(world: SecureWorld, given: Partial<SecureWorld>): SecureWorld {
  const { name, conduit, abi, memory, normalWorldRam, platformMemory, memoryFile } = world;
  const { notificationInterrupt, ended, panics, consoleIdle } = world;
  return {
    name,
    conduit,
    memory,
    normalWorldRam,
    ...(abi === undefined ? {} : { abi }),
    ...(ended === undefined ? {} : { ended }),
    ...(panics === undefined ? {} : { panics }),
    ...(consoleIdle === undefined ? {} : { consoleIdle }),
    ...(platformMemory === undefined ? {} : { platformMemory }),
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

/** A trusted application panicked. */
export interface TaPanicReport {
  readonly uuid: Uuid;
  /** What it gave to TEE_Panic, or what OP-TEE panicked it with. */
  readonly code: number;
  /** What is known besides: `TypeError: a bug`. */
  readonly why?: string;
  /** Whether the application panicked itself or was ended for what it did. */
  readonly kind?: 'panic' | 'abort';
  /** What an abort accessed. */
  readonly address?: bigint | undefined;
  /** By name, `x0`, `elr`, `esr`, as far as OP-TEE prints them: with aborts. */
  readonly registers?: Readonly<Record<string, bigint>>;
  /** The innermost first. */
  readonly callStack?: readonly TaCallStackEntry[];
}

/** An entry of the call stack of an application that died. */
export interface TaCallStackEntry {
  readonly address: bigint;
  /** The UUID of the application or library that it is in, and where in its ELF; undefined when that is not told. */
  readonly image: Uuid | undefined;
  readonly offset: number | undefined;
  /** The functions there, the innermost first, of which all but the last were inlined. Empty without an unstripped ELF. */
  readonly frames: readonly {
    readonly function: string;
    readonly file: string | undefined;
    readonly line: number | undefined;
  }[];
}

export interface PanicSource {
  /** Call the handler for each, before the call that suffers returns, until the function returned is called. */
  listen(handler: (panic: TaPanicReport) => void): () => void;
}

/** An interrupt line, as the device tree would name it. */
export interface InterruptSource {
  /** Call the handler each time the interrupt is taken, outside any call, until the function returned is called. */
  listen(handler: () => void): () => void;
}
