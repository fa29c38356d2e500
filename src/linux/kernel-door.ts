import { TeeResult } from '../protocol/tee-result.js';
import type { TeeVersion } from '../tee/tee-driver.js';
import { commsError } from '../tee/teec-error.js';
import { GeneralCapability, implementationOptee, TeeIoctlRequest, versionSize } from '../uapi/tee.js';
import { CallThreads } from './call-threads.js';
import type { DeviceDoor } from './device-door.js';
import { DeviceMemory } from './device-memory.js';
import { errnoError, openError } from './errno-error.js';
import { addressOf, closeFile, ioctl, openDevice } from './system-calls.js';

/**
 * A TEE device of this machine's kernel. Its requests block, so separate threads make them.
 * @param path of the device, `/dev/tee0`.
 * @param threads largest number of requests in the kernel, without cancellations.
 * @throws TeecError NOT_SUPPORTED if it is not OP-TEE; the kernel's error with advice if it cannot be opened.
 */
export function kernelDoor(path: string, threads: number): DeviceDoor {
  const fd = opened(path);
  let version: TeeVersion;
  try {
    version = versionOf(fd, path);
  } finally {
    closeFile(fd);
  }
  const calls = new CallThreads(threads);
  const memory = new DeviceMemory(calls);
  return {
    version,
    whose: 'the kernel',
    open: () => opened(path),
    calls,
    memory: {
      get bytesInUse() {
        return memory.bytesInUse;
      },
      allocate: (fd, size) => memory.allocate(fd, size),
      register: (fd, bytes) => memory.register(fd, bytes),
      registerDescriptor: (fd, descriptor) => memory.registerDescriptor(fd, descriptor),
    },
    end: () => calls.end(),
  };
}

function opened(path: string): number {
  const { result, errno } = openDevice(path);
  if (result === -1) throw openError(errno, path);
  return result;
}

function versionOf(fd: number, path: string): TeeVersion {
  const bytes = Buffer.alloc(versionSize);
  const { result, errno } = ioctl(fd, TeeIoctlRequest.version, addressOf(bytes));
  if (result === -1) throw errnoError(errno, `reading the version of ${path}`);
  const implementationId = bytes.readUInt32LE(0);
  if (implementationId !== implementationOptee)
    throw commsError(
      TeeResult.ERROR_NOT_SUPPORTED,
      `${path} is not an OP-TEE: its implementation id is ${implementationId}, OP-TEE's is ${implementationOptee}`,
    );
  const capabilities = bytes.readUInt32LE(8);
  if ((capabilities & GeneralCapability.privileged) !== 0)
    throw commsError(TeeResult.ERROR_NOT_SUPPORTED, `${path} is a supplicant's device, clients open /dev/tee0`);
  return {
    implementationId,
    registeredMemory: (capabilities & GeneralCapability.registeredMemory) !== 0,
    memrefNull: (capabilities & GeneralCapability.memrefNull) !== 0,
  };
}
