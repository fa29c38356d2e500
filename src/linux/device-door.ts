import type { TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { StartedCall } from './call-threads.js';
import type { Outcome } from './system-calls.js';
import type { BlockingCall } from './thread-handle.js';

/** The way to a TEE device: it is in the kernel of this machine, or of another. */
export interface DeviceDoor {
  readonly version: TeeVersion;
  /** Who has a request that has not come back, in words. */
  readonly whose: string;
  /** Open the device. @param label what traces call the client. @returns its descriptor. @throws TeecError */
  open(label: string): number;
  readonly calls: DeviceCalls;
  readonly memory: SharedDeviceMemory;
  /** Bring memory of a request where the device sees it, where it does not see it already. */
  carryIn?(params: readonly TeeParam[]): void;
  /** Nothing is asked for any more, and nothing waited for. */
  end(): void;
}

/** Makes system calls that may block. */
export interface DeviceCalls {
  run(call: BlockingCall): Promise<Outcome>;
  /** The same, for a call that may be withdrawn while it is not made yet. */
  start(call: BlockingCall): StartedCall;
  /** The same, whatever the others are in. */
  runUrgent(call: BlockingCall): Promise<Outcome>;
}

/** Shared memory of one open device. */
export interface SharedDeviceMemory {
  /** Bytes. */
  readonly bytesInUse: number;
  /** @throws TeecError */
  readonly allocate: (fd: number, size: number) => Promise<TeeShm>;
  /** A buffer of the program's, where it lies; undefined where the kernel does not reach it. @throws TeecError */
  readonly register: ((fd: number, bytes: Uint8Array) => Promise<TeeShm>) | undefined;
  /** What a descriptor of the program's stands for, likewise. @throws TeecError */
  readonly registerDescriptor: ((fd: number, descriptor: number) => Promise<TeeShm>) | undefined;
}
