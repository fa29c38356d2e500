import type { TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { StartedCall } from './call-threads.js';
import type { Outcome } from './system-calls.js';
import type { BlockingCall } from './thread-handle.js';

/** Access to a TEE device in the kernel of this machine or of another one. */
export interface DeviceDoor {
  readonly version: TeeVersion;
  /** A name for the owner of pending requests, for messages. */
  readonly whose: string;
  /** Open the device. @param label the client's name in traces. @returns its descriptor. @throws TeecError */
  open(label: string): number;
  readonly calls: DeviceCalls;
  readonly memory: SharedDeviceMemory;
  /** Make shared memory of a request visible to the device, where it is not shared directly. */
  carryIn?(params: readonly TeeParam[]): void;
  /** Accept no more requests, and wait for none. */
  end(): void;
}

/** Makes system calls that may block. */
export interface DeviceCalls {
  run(call: BlockingCall): Promise<Outcome>;
  /** The same, for a call that can be withdrawn until it is made. */
  start(call: BlockingCall): StartedCall;
  /** The same, even if all threads are busy. */
  runUrgent(call: BlockingCall): Promise<Outcome>;
}

/** Shared memory of an open device. */
export interface SharedDeviceMemory {
  /** In bytes. */
  readonly bytesInUse: number;
  /** @throws TeecError */
  readonly allocate: (fd: number, size: number) => Promise<TeeShm>;
  /** Register a buffer of the program in place; undefined if the kernel cannot access it. @throws TeecError */
  readonly register: ((fd: number, bytes: Uint8Array) => Promise<TeeShm>) | undefined;
  /** Register the memory behind a descriptor; undefined if the kernel cannot access it. @throws TeecError */
  readonly registerDescriptor: ((fd: number, descriptor: number) => Promise<TeeShm>) | undefined;
}
