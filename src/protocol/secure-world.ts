import type { Conduit, ConduitError } from './conduit.js';
import type { MemoryRange, PhysicalAddress, PhysicalMemory } from './physical-memory.js';
import type { Uuid } from './uuid.js';

/** What a driver needs of a secure world. Disposing of it ends the calls in progress with a `ConduitError`. */
export interface SecureWorld extends AsyncDisposable {
  /** Its name for messages: "simulated", "OP-TEE in QEMU". */
  readonly name: string;
  readonly conduit: Conduit;
  /**
   * Resolves with the reason when the world cannot be reached any more. A call that waits in the normal world, with no
   * SMC in progress, learns of the failure only from this.
   */
  readonly ended?: Promise<ConduitError>;
  /** The ABI of OP-TEE in it: SMC (the default), or FF-A partition. */
  readonly abi?: 'smc' | 'ffa';
  readonly memory: PhysicalMemory;
  /** Page-aligned non-secure RAM that the driver may use as dynamic shared memory. It has no other user. */
  readonly normalWorldRam: readonly MemoryRange[];
  /** Non-secure memory at fixed addresses that the platform reserves for other users: a device tree's `shmem`. */
  readonly platformMemory?: PhysicalMemory;
  /** The memory as a file that other processes can map; undefined if the world has none. */
  readonly memoryFile?: PhysicalMemoryFile;
  /** Resolves when all console output so far has been delivered; undefined if the world has no console. */
  readonly consoleIdle?: () => Promise<void>;
  /** Panics of trusted applications, if the world reports them. A result code says only that an application is dead. */
  readonly panics?: PanicSource;
  /** The interrupt with which secure world announces notifications; undefined if the world has none. */
  readonly notificationInterrupt?: InterruptSource;
}

/** A secure world with some properties replaced, for a layer between a world and a driver. */
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
  /** The code passed to TEE_Panic, or the code with which OP-TEE panicked the application. */
  readonly code: number;
  /** More about the cause, if known: `TypeError: a bug`, `its stack of 4096 bytes has overflown`. */
  readonly why?: string | undefined;
  /** `panic`: the application called TEE_Panic; `abort`: OP-TEE ended it because of a fault. */
  readonly kind?: 'panic' | 'abort';
  /** The address whose access caused an abort. */
  readonly address?: bigint | undefined;
  /** With aborts: registers by name (`x0`, `elr`, `esr`), as far as OP-TEE prints them. */
  readonly registers?: Readonly<Record<string, bigint>>;
  /** Innermost first. */
  readonly callStack?: readonly TaCallStackEntry[];
  /** The lines of the secure console about it, if there is one: the dump of registers, memory and call stack. */
  readonly console?: readonly string[];
}

/** An entry of the call stack of an application that died. */
export interface TaCallStackEntry {
  readonly address: bigint;
  /** UUID of the application or library that contains the address, and the offset in its ELF; undefined if unknown. */
  readonly image: Uuid | undefined;
  readonly offset: number | undefined;
  /** The functions at the address, innermost first; all but the last are inlined. Empty without an unstripped ELF. */
  readonly frames: readonly {
    readonly function: string;
    readonly file: string | undefined;
    readonly line: number | undefined;
  }[];
}

export interface PanicSource {
  /** Call the handler for each panic, before the affected call returns. The returned function removes the handler. */
  listen(handler: (panic: TaPanicReport) => void): () => void;
}

/** An interrupt line, as the device tree would name it. */
export interface InterruptSource {
  /** Call the handler each time the interrupt is taken, outside any call. The returned function removes the handler. */
  listen(handler: () => void): () => void;
}
